#include "templates.h"

namespace moecap::tinymath {
namespace {

constexpr Template kMedium[] = {
    // Five steps.
    {"farm5",
     "a:123..480 b:112..680 c:123..480 d:112..680 e:120..990 f:12..24",
     "a*b c*d #1+#2 #3-e #4/f",
     {"A farm has {a} rows of {b} apple trees and {c} rows of {d} pear trees. {e} trees are cut and the rest are cared for by "
      "{f} "
      "people in equal parts. How many trees are that per person?",
      "{name} has {a} bags of {b} {item} and {c} bags of {d} {item}. {name} uses {e} of them and shares the others equally "
      "among {f} "
      "friends. How many {item} does each friend get?"}},
    {"library5",
     "a:23..58 b:13..49 c:12..29 d:23..89 e:112..480 f:1000..4000",
     "a*b #1*c d*e #2+#3 #4-f",
     {"A library has {c} floors with {a} shelves of {b} books and a hall with {d} shelves of {e} books. {f} books are lent "
      "out. How "
      "many books are there now?",
      "A {place} sends {c} trucks with {a} boxes of {b} {item} and one truck with {d} boxes of {e} {item}. {f} {item} get "
      "lost. How "
      "many {item} arrive?"}},
    {"fuel5",
     "b:12..24 a:1200..9800%b p:1.05..2.45/0.05 c:12..98 e:4000..9900/100",
     "a/b #1*p #2*2 #3+c e-#4",
     {"A car drives {b} km on a litre of fuel. {name} drives {a} km to the sea and {a} km back, a litre costs {$p} and the "
      "parking "
      "costs {$c}. {name} had {$e}. How many dollars are left?",
      "A machine makes {b} {item} from one kg of sugar. {name} makes {a} {item} on each of two days. A kg costs {$p} and the "
      "boxes "
      "cost {$c}. How many dollars are left of {$e}?"}},
    {"team5",
     "a:120..990 b:120..990 c:120..990 d:120..990 e:113..965",
     "a+b #1+c #2+d #3/4 #4*e",
     {"Four shops sold {a}, {b}, {c} and {d} {item} in one week. At this average, how many {item} does one shop sell in {e} "
      "weeks?",
      "{name} drove {a}, {b}, {c} and {d} km in four weeks. At this average, how many km does {name} drive in {e} weeks?"}},
    {"weights5",
     "p:1.2..19.8/0.2 n:112..365 q:1.5..29.5/0.5 m:12..48 r:10.25..98.75/0.25",
     "p*n q*m #1+#2 #3+r #4*2",
     {"A cart carries {n} sacks of {p} kg, {m} sacks of {q} kg and a box of {r} kg. It drives this load two times. How many kg "
      "is that "
      "in total?",
      "{name} buys {n} {item} for {$p} each, {m} {item2} for {$q} each and a lamp for {$r}. {name2} buys the same. How many "
      "dollars do "
      "they spend together?"}},
    {"profit5",
     "a:123..890 p:112..229 q:231..458 d:3..6 e:4..9",
     "a*q a*p #1-#2 #3/d #4*e",
     {"{name} buys {a} {item} for {$p} each and sells them for {$q} each. The profit is split into {d} equal parts and {name} "
      "keeps "
      "{e} such parts with a bonus. How many dollars is that?",
      "A {place} pays {$p} for each of {a} {item} and gets {$q} for each. One of {d} equal parts of the gain goes to each "
      "owner. {e} "
      "times that is put in the bank. How many dollars is that?"}},
    {"wages5",
     "e:1020..9980/20 p:5..45/5 f:2..8 g:12..48",
     "e*p #1/100 e-#2 #3/f #4*g",
     {"{name} earns {$e} a week and pays {p}% tax. The rest is for {f} people in equal parts. How many dollars does each "
      "person get in "
      "{g} weeks?",
      "Of {e} {item} {p}% are bad. The good ones go into {f} equal boxes. {name} sells one box at {$g} for each piece. How "
      "many dollars "
      "is that?"}},
    // Six steps.
    {"school6",
     "a:23..68 b:23..38 c:100..990 d:4..9 e:123..398 f:300..990 g:1000..4000",
     "a*b #1+c #2/d #3*e #4+f #5-g",
     {"A school has {a} classes of {b} pupils and {c} more pupils come. A group is {d} pupils and each group pays {$e}. The "
      "{place} "
      "gives {$f} and the trip costs {$g}. How many dollars are left?",
      "{name} has {a} boxes of {b} {item} and finds {c} more. Packs of {d} sell for {$e} each. {name} also has {$f} and then "
      "spends "
      "{$g}. How many dollars remain?"}},
    {"market6",
     "p:1.05..9.95/0.05 a:12..48 q:1.5..9.5/0.1 b:12..48 r:2.2..9.8/0.2 c:12..48 e:900..1500/50",
     "p*a q*b r*c #1+#2 #4+#3 e-#5",
     {"{name} buys {a} {item} at {$p}, {b} {item2} at {$q} and {c} lamps at {$r} and pays with {$e}. How much change does "
      "{name} get?",
      "A {place} has {$e}. It orders {a} cups at {$p}, {b} plates at {$q} and {c} bowls at {$r}. How many dollars are left?"}},
    {"factory6",
     "a:23..58 b:13..49 c:12..29 d:120..990 e:3..9 f:4..9 g:1000..9000",
     "a*b #1*c #2-d #3/e #4*f #5+g",
     {"A factory runs {c} lines. Each line has {a} machines that make {b} {item} a day. {d} are bad and the rest go into packs "
      "of {e}. "
      "A pack sells for {$f} and the factory had {$g}. How many dollars does it have now?",
      "{name} plants {a} rows of {b} flowers in each of {c} fields. {d} flowers die. Bunches of {e} sell for {$f} each and "
      "{name} had "
      "{$g}. How many dollars does {name} have now?"}},
    {"orchard6",
     "d:3..9 n:2..8 n<d e:400..1900%d p:112..480 c:1000..8000 m:3..6",
     "e/d #1*n e-#2 #3*p #4+c #5*m",
     {"An orchard has {e} trees and {n}/{d} of them give no fruit. The others give {p} kg each and a field gives {c} kg. How "
      "many kg "
      "are that in {m} years?",
      "{name} has {e} {item} and {n}/{d} of them are broken. The others sell for {$p} each and {name} gets {$c} more. It is "
      "like this "
      "in {m} months. How many dollars is that?"}},
    {"wall6",
     "a:34..98 b:23..68 c:12..33 d:12..22 p:13..48 e:120..990 f:1200..9900",
     "a*b c*d #1-#2 #3*p #4+e #5+f",
     {"A wall is {a} m by {b} m with a gate of {c} m by {d} m that is not painted. Paint costs {$p} per square m, a ladder "
      "{$e} and the "
      "work {$f}. How many dollars is it in total?",
      "{name} has {a} boxes of {b} {item} and gives away {c} boxes of {d}. The rest sell for {$p} each. {name} also earns {$e} "
      "and "
      "{$f}. How many dollars is that?"}},
    {"club6",
     "a:123..890 b:112..680 c:123..890 d:112..680 e:300..990 f:12..24 g:1200..9800",
     "a*b c*d #1+#2 #3-e #4/f #5+g",
     {"A club has {a} members who pay {$b} and {c} who pay {$d}. It spends {$e} and splits the rest equally among {f} teams. "
      "One team "
      "already had {$g}. How many dollars does this team have now?",
      "{name} sold {a} {item} for {$b} and {c} {item2} for {$d}, paid {$e} and shares the rest equally among {f} people. "
      "{name2} is one "
      "of them and had {$g}. How many dollars does {name2} have now?"}},
    {"race6",
     "a:23..290 b:23..290 c:23..290 d:113..348 e:120..990 f:3..9 g:4..9",
     "a+b #1+c #2*d #3-e #4/f #5*g",
     {"A round has parts of {a} m, {b} m and {c} m. {name} plans {d} rounds but stops {e} m early. {f} runners share this in "
      "equal "
      "parts. How many m do {g} runners do?",
      "A pack holds {a} red, {b} blue and {c} green {item}. A {place} gets {d} packs, uses {e} {item} and puts the rest into "
      "{f} equal "
      "boxes. How many {item} are in {g} boxes?"}},
};

}  // namespace

std::span<const Template> MediumTemplates() { return kMedium; }

}  // namespace moecap::tinymath
