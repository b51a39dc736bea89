#include "templates.h"

namespace moecap::tinymath {
namespace {

constexpr Template kLong[] = {
    // Seven steps.
    {"bakery7",
     "a:34..98 b:23..68 c:120..990 d:3..9 p:112..480 e:23..98 f:112..480 g:300..3900",
     "a*b #1-c #2/d #3*p e*f #4+#5 #6-g",
     {"A bakery makes {a} trays of {b} rolls. {c} are eaten and the rest are put in bags of {d} that sell for {$p}. It also "
      "sells {e} "
      "cakes at {$f} and pays {$g} rent. How many dollars are left?",
      "{name} picks {b} {item} on each of {a} days and gives away {c}. Baskets of {d} sell for {$p}. {name} also sells {e} "
      "{item2} at "
      "{$f} and spends {$g}. How many dollars are left?"}},
    {"hotel7",
     "a:12..58 b:23..98 c:12..58 d:23..98 e:12..29 f:23..98 g:112..480 h:300..3900",
     "a*b c*d #1+#2 #3*e f*g #4+#5 #6-h",
     {"A hotel rents {a} small rooms at {$b} and {c} large rooms at {$d} for {e} nights. It sells {f} meals at {$g} and pays "
      "{$h} for "
      "cleaning. How many dollars are left?",
      "Each day {name} sells {a} {item} at {$b} and {c} {item2} at {$d}, for {e} days. Then {name} sells {f} cups at {$g} and "
      "pays {$h}. "
      "How many dollars are left?"}},
    {"visitors7",
     "a:120..990 b:120..990 c:120..990 d:120..990 e:120..990 f:113..965 g:1000..4000",
     "a+b #1+c #2+d #3+e #4/5 #5*f #6-g",
     {"A {place} had {a}, {b}, {c}, {d} and {e} visitors on five days. At this average it expects {f} days, but {g} visitors "
      "stay away. "
      "How many visitors come?",
      "{name} made {a}, {b}, {c}, {d} and {e} {item} in five weeks. At this average {name} works for {f} weeks and then loses "
      "{g} "
      "{item}. How many are left?"}},
    {"sale7",
     "a:12..39 b:12..24 p:3..47 c:120..990 d:100..900",
     "a*b #1*p #2/100~ #1-#3 #4+c #5*2 #6-d",
     {"{name} orders {a} {item} at {$b} each and gets {p}% off. A lamp for {$c} is added. The {place} orders all of this two "
      "times and "
      "has a coupon of {$d}. How many dollars does it pay?",
      "{a} people each pay {$b}, but {p}% of it is tax. With {$c} from the {place} this is the budget of one month. After two "
      "months "
      "{$d} are spent. How many dollars are left?"}},
    {"kitchen7",
     "p:1.05..9.95/0.05 a:12..38 q:1.5..9.5/0.1 b:12..38 c:3..6 r:2.2..9.8/0.2 d:12..48 e:3900..5900/100",
     "p*a q*b #1+#2 #3*c r*d #4+#5 e-#6",
     {"A kitchen needs {a} cups at {$p} and {b} plates at {$q} for each of {c} rooms and also {d} bowls at {$r}. It has {$e}. "
      "How many "
      "dollars are left?",
      "{name} buys {a} {item} at {$p} and {b} {item2} at {$q} in each of {c} weeks. {name} also buys {d} lamps at {$r} and had "
      "{$e}. How "
      "many dollars are left?"}},
    {"donation7",
     "d:4..12 n:1..9 m:1..9 n<d m<d e:240..990%d a:112..680 b:23..98 c:112..680 g:300..3900",
     "n|d+m|d #1*e e-#2 #3*a b*c #4+#5 #6-g",
     {"Of {e} {item} {n}/{d} go to a school and {m}/{d} to the {place}. The rest sell for {$a} each. {name} also sells {b} "
      "{item2} at "
      "{$c} and pays {$g}. How many dollars are left?",
      "{name} has {e} {item}, gives {n}/{d} to {name2} and loses {m}/{d}. {name} sells the others at {$a} each and {b} cups at "
      "{$c} "
      "each, then spends {$g}. How many dollars are left?"}},
    {"trucks7",
     "a:23..89 b:12..68 c:23..89 d:12..68 e:3..9 f:112..480 g:1000..9000",
     "a*b c*d #1+#2 #3/e #4*f #5+g #6*2",
     {"{a} trucks bring {b} sacks each and {c} carts bring {d} sacks each. Loads of {e} sacks are sold for {$f} each. With "
      "{$g} from "
      "the {place} this is the sum of one year. How many dollars is it in two years?",
      "{name} fills {a} boxes with {b} {item} and {c} bags with {d} {item}. Packs of {e} sell for {$f}. {name} adds {$g} and "
      "{name2} "
      "has just as much. How many dollars do they have together?"}},
    // Eight steps.
    {"fair8",
     "a:123..480 b:112..480 c:123..480 d:112..480 e:123..480 f:112..480 g:120..990 h:3..9 i:4..9",
     "a*b c*d e*f #1+#2 #4+#3 #5-g #6/h #7*i",
     {"At a fair {a} adults pay {$b}, {c} students pay {$d} and {e} children pay {$f}. {$g} go to the band and the rest to {h} "
      "clubs in "
      "equal parts. How many dollars do {i} such parts make?",
      "{name} stacks {a} rows of {b} red, {c} rows of {d} blue and {e} rows of {f} green {item}. {g} fall down and the rest go "
      "into {h} "
      "equal boxes. How many {item} are in {i} such boxes?"}},
    {"trip8",
     "a:13..38 b:23..38 c:12..98 p:112..480 d:23..98 e:112..480 f:23..98 g:112..480 h:1000..9000",
     "a*b #1+c #2*p d*e #3+#4 f*g #5+#6 #7-h",
     {"{a} classes of {b} pupils and {c} adults go on a trip for {$p} each. They buy {d} meals at {$e} and {f} tickets at "
      "{$g}. The "
      "{place} pays {$h} of it. How many dollars are left to pay?",
      "{name} has {a} boxes of {b} {item} and {c} more and sells them for {$p} each. {name} sells {d} cups at {$e} and {f} "
      "plates at "
      "{$g} and spends {$h}. How many dollars are left?"}},
    {"party8",
     "p:1.05..9.95/0.05 a:12..29 q:1.5..9.5/0.1 b:12..29 r:2.2..9.8/0.2 c:12..29 d:3..6 e:120..990 f:5900..7900/100",
     "p*a q*b r*c #1+#2 #4+#3 #5*d #6+e f-#7",
     {"For each of {d} parties {name} buys {a} {item} at {$p}, {b} {item2} at {$q} and {c} lamps at {$r}. The room costs {$e}. "
      "{name} "
      "had {$f}. How many dollars are left?",
      "Each of {d} teams needs {a} cups at {$p}, {b} plates at {$q} and {c} bowls at {$r}. The {place} asks {$e} more. They "
      "have {$f}. "
      "How many dollars are left?"}},
    {"bonus8",
     "a:120..990 b:120..990 c:120..990 d:120..990 e:120..990 f:113..965 g:1000..9000 h:300..3900",
     "a+b #1+c #2+d #3+e #4/5 #5*f #6+g #7-h",
     {"{name} earned {$a}, {$b}, {$c}, {$d} and {$e} in five weeks. At this average {name} works for {f} weeks, gets a bonus "
      "of {$g} "
      "and pays {$h}. How many dollars are left?",
      "A {place} sold {a}, {b}, {c}, {d} and {e} {item} on five days. At this average it sells for {f} days, then {g} more, "
      "but {h} come "
      "back. How many {item} are sold?"}},
    {"garden8",
     "a:23..58 b:12..34 d:3..9 n:2..8 n<d p:112..480 c:23..98 e:112..480 f:300..3900",
     "a*b #1/d #2*n #1-#3 #4*p c*e #5+#6 #7-f",
     {"A garden has {a} rows of {b} plants. {n}/{d} of them are given away and the rest sell for {$p} each. {c} pots sell for "
      "{$e} each "
      "and the water costs {$f}. How many dollars are left?",
      "{name} has {a} bags of {b} {item}. {n}/{d} of them are lost and the others sell for {$p} each. {name} also sells {c} "
      "{item2} at "
      "{$e} and pays {$f}. How many dollars are left?"}},
    {"mill8",
     "a:23..58 b:13..49 c:12..29 d:120..990 e:3..9 f:4..9 g:23..98 h:112..480 i:1000..3900",
     "a*b #1*c #2-d #3/e #4*f g*h #5+#6 #7-i",
     {"In each of {c} mills {a} machines fill {b} bags a day. {d} bags are torn and stacks of {e} bags sell for {$f}. {g} "
      "sacks sell "
      "for {$h} each and the workers get {$i}. How many dollars are left?",
      "{name} has {c} rooms with {a} boxes of {b} {item}. {d} are broken and packs of {e} sell for {$f}. {name} sells {g} "
      "{item2} at "
      "{$h} each and spends {$i}. How many dollars are left?"}},
    {"concert8",
     "a:12..39 b:12..24 p:3..47 c:23..98 d:12..48 e:12..29 f:1000..9000",
     "a*b #1*p #2/100~ #1-#3 c*d #4+#5 #6*e #7+f",
     {"{a} seats cost {$b} each with {p}% off and {c} seats cost {$d} each. All are sold on {e} nights and the {place} adds "
      "{$f}. How "
      "many dollars is that in total?",
      "A day {name} sells {a} {item} at {$b}, of which {p}% is tax, and {c} {item2} at {$d} without tax. After {e} days "
      "{name2} adds "
      "{$f}. How many dollars is that?"}},
};

}  // namespace

std::span<const Template> LongTemplates() { return kLong; }

}  // namespace moecap::tinymath
