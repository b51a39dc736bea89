#include "templates.h"

namespace moecap::tinymath {
namespace {

constexpr Template kShort[] = {
    // Two steps.
    {"boxes2",
     "a:123..980 b:123..980 c:1000..9900",
     "a*b #1+c",
     {"{name} [packs|fills] {a} boxes with {b} {item} in each box. There are also {c} loose {item} [on the table|in a bag]. "
      "How "
      "many {item} are there [in total|in all]?",
      "A {place} [receives|gets] {a} boxes of {b} {item} each. It already had {c} {item}. How many {item} does the {place} "
      "have "
      "now?"}},
    {"share2",
     "a:1200..8900 b:1200..8900 c:12..48",
     "a+b #1/c",
     {"{name} has {a} {item} and {name2} has {b} {item}. They put them together and share them equally among {c} "
      "[friends|groups]. How many {item} does each one get?",
      "A {place} made {a} {item} on Monday and {b} on Tuesday. All of them go into {c} equal [crates|piles]. How many {item} "
      "are in "
      "each?"}},
    {"change2",
     "p:1.05..9.95/0.05 n:112..480 m:4800..9900/100",
     "p*n m-#1",
     {"{name} buys {n} {item} at {$p} each and pays with {$m}. How much change does {name} get [back|]?",
      "At the {place} one of the {item} costs {$p}. {name} [had|brought] {$m} and bought {n} of them. How many dollars are "
      "left?"}},
    {"frac2",
     "d:12..36 n:5..35 n<d e:1000..9900%d",
     "e/d #1*n",
     {"A {place} has {e} {item}. {n}/{d} of them are [red|new|sold]. How many {item} is that?",
      "{name} collected {e} {item} and [gave|sent] {n}/{d} of them to {name2}. How many {item} did {name2} [get|receive]?"}},
    {"travel2",
     "a:123..980 b:123..468 c:300..4000",
     "a*b #1-c",
     {"A truck drives {a} km each day for {b} days. {c} km of that were on [a highway|country roads]. How many km were not?",
      "{name} [types|writes] {a} words each minute for {b} minutes and then deletes {c} words. How many words are left?"}},
    {"percent2",
     "e:1001..9989 p:3..97",
     "e*p #1/100~",
     {"A {place} has {e} {item} to sell and {p}% of the money for them goes to [charity|a school]. If each one brings $1, how "
      "many "
      "dollars is that?",
      "{name} earns {$e} and saves {p}% of it. How many dollars does {name} save?"}},
    // Three steps.
    {"tickets3",
     "a:123..980 b:112..580 c:123..980 d:112..580",
     "a*b c*d #1+#2",
     {"{a} adults and {c} children visit the {place}. A ticket costs {$b} for an adult and {$d} for a child. How many dollars "
      "do "
      "they pay [in total|together]?",
      "{name} sells {a} {item} at {$b} each and {c} {item2} at {$d} each. How many dollars does {name} [earn|take in]?"}},
    {"shelves3",
     "a:23..68 b:13..49 c:12..49 d:100..999",
     "a*b #1*c #2-d",
     {"A {place} has {c} rooms. Each room has {a} shelves and each shelf holds {b} {item}. {d} {item} are [sold|lent out]. How "
      "many "
      "{item} are left?",
      "{name} packs {b} {item} in a bag and {a} bags in a crate. {name} fills {c} crates and then [loses|removes] {d} {item}. "
      "How "
      "many {item} remain?"}},
    {"fence3",
     "p:2.4..28.6/0.2 n:112..365 q:1.5..99.5/0.5",
     "p*n #1+q #2*2",
     {"A garden has {n} panels of {p} m on one side and a gate of {q} m. The other side is just as long. How many m are both "
      "sides "
      "together?",
      "{name} cuts {n} ribbons of {p} cm and one of {q} cm and then does [it all|the same] again. How many cm of ribbon were "
      "used?"}},
    {"fractions3",
     "d:4..12 n:1..9 m:1..9 n<d m<d e:1000..9900%d",
     "n|d+m|d #1*e e-#2",
     {"{name} has {e} {item}. {n}/{d} of them go to {name2} and {m}/{d} go to the {place}. How many {item} does {name} keep?",
      "Of {e} {item}, {n}/{d} are [red|small] and {m}/{d} are [blue|large]. How many {item} are neither?"}},
    {"pallets3",
     "a:2400..9800 b:300..2300 c:12..48 d:100..990",
     "a-b #1/c #2+d",
     {"A {place} has {a} {item}. {b} are broken and the rest go equally to {c} shops. One shop already had {d} {item}. How "
      "many does "
      "this shop have now?",
      "{name} [collected|made] {a} {item}, threw away {b} and split the rest into {c} equal parts. One part then gets {d} "
      "more. How "
      "many {item} are in it?"}},
    {"savings3",
     "a:134..980 b:112..365 c:1200..7000 d:300..3000",
     "a*b #1+c #2-d",
     {"{name} saves {$a} a week for {b} weeks, gets {$c} from {name2} and spends {$d}. How many dollars does {name} have?",
      "A {place} sells {a} {item} a day for {b} days at $1 each, has {$c} in the bank and pays {$d} in rent. How many dollars "
      "are "
      "left?"}},
    {"discount3",
     "e:1001..9989 p:3..47",
     "e*p #1/100~ e-#2",
     {"A bike costs {$e}. The {place} takes {p}% off. How many dollars does {name} pay [for it|]?",
      "{name} earns {$e} and {p}% of it goes to tax. How many dollars [are left|does {name} keep]?"}},
    // Four steps.
    {"bakery4",
     "a:34..98 b:23..68 c:100..990 d:3..9 e:112..980",
     "a*b #1-c #2/d #3*e",
     {"A {place} makes {a} trays of {b} cookies. {c} cookies are eaten. The rest go into bags of {d} which sell for {$e} each. "
      "How "
      "many dollars do the bags bring?",
      "{name} picks {b} {item} from each of {a} trees and throws away {c}. The others go into baskets of {d}. A basket sells "
      "for "
      "{$e}. How many dollars does {name} [earn|get]?"}},
    {"workers4",
     "a:23..89 b:112..480 c:23..89 d:112..480 e:12..48",
     "a*b c*d #1+#2 #3*e",
     {"Each day {a} workers make {b} {item} each and {c} machines make {d} {item} each. How many {item} are made in {e} days?",
      "In one week {name} sells {a} {item} for {$b} each and {c} {item2} for {$d} each. How many dollars is that in {e} "
      "weeks?"}},
    {"average4",
     "a:1200..9800 b:1200..9800 c:1200..9800 d:1200..9800",
     "a+b #1+c #2+d #3/4",
     {"A {place} counted {a}, {b}, {c} and {d} visitors in four weeks. What is the average per week?",
      "{name} walked {a}, {b}, {c} and {d} steps on four days. How many steps is that per day on average?"}},
    {"shopping4",
     "p:1.05..9.95/0.05 n:112..480 q:1.05..9.95/0.05 m:12..48 e:5000..9900/100",
     "p*n q*m #1+#2 e-#3",
     {"{name} buys {n} {item} at {$p} each and {m} {item2} at {$q} each and pays with {$e}. How much change does {name} get?",
      "The {place} has {$e} to spend. It orders {n} {item} for {$p} each and {m} {item2} for {$q} each. How many dollars are "
      "left?"}},
    {"recipe4",
     "b:3..9 a:600..4800%b c:112..280 d:120..990 e:3..9",
     "a/b #1*c #2+d #3*e",
     {"{b} cakes need {a} g of flour. {name} bakes {c} cakes a day and uses {d} g more for bread. How many g of flour are used "
      "in {e} "
      "days?",
      "{b} pumps move {a} litres an hour. A {place} runs {c} such pumps and an old one that moves {d} litres an hour. How many "
      "litres "
      "do they move in {e} hours?"}},
    {"harvest4",
     "d:3..9 n:2..8 n<d e:400..1900%d p:112..980",
     "e/d #1*n e-#2 #3*p",
     {"A {place} has {e} {item}. {n}/{d} of them are given away and the rest are sold for {$p} each. How many dollars does the "
      "{place} "
      "get?",
      "{name} has {e} {item} and keeps {n}/{d} of them. {name} sells the others at {$p} each. How many dollars is that?"}},
    {"field4",
     "a:38..240 b:38..240 p:113..480 c:1000..9000",
     "a+b #1*2 #2*p #3+c",
     {"A field is {a} m long and {b} m wide. A fence around it costs {$p} per m and a gate costs {$c}. How many dollars does "
      "it cost "
      "in total?",
      "{name} runs around a park of {a} m by {b} m. {name} does {p} rounds and then walks {c} m home. How many m is that in "
      "all?"}},
};

}  // namespace

std::span<const Template> ShortTemplates() { return kShort; }

}  // namespace moecap::tinymath
