#include "report/html_style.h"

namespace moecap::report {

std::string_view PageStyle() {
  return R"css(
:root{--soft:#f6f7f9;--line:#d8dce1;--badsoft:#fdecea;--link:#0b62a8}
@media screen and (prefers-color-scheme:dark){:root{--soft:#1b1f24;--line:#363c44;--badsoft:#3a1d1b;--link:#5ab0f2}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main,header,footer{max-width:1080px;margin:0 auto;padding:0 24px}
header{padding-top:44px}
.kicker{margin:0 0 10px;color:var(--muted);font-size:13px}
h1{margin:0 0 14px;max-width:30em;font-size:29px;line-height:1.22;font-weight:650;letter-spacing:-.012em;text-wrap:balance}
h2{margin:56px 0 6px;padding-top:14px;border-top:1px solid var(--ink);font-size:19px;line-height:1.3;font-weight:650;
letter-spacing:-.005em}
h3{margin:30px 0 8px;font-size:15px;font-weight:650}
p{margin:8px 0;max-width:46em}
.lead{color:var(--muted)}
.findings{margin:0 0 22px;padding:0;list-style:none;max-width:52em}
.findings li{margin:4px 0}
a{color:var(--link)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:5px 20px;margin:12px 0;max-width:62em}
dt{color:var(--muted)}
dd{margin:0;overflow-wrap:anywhere}
.meta{max-width:none;grid-template-columns:max-content 1fr max-content 1fr;padding:14px 0;border-top:1px solid var(--line);
border-bottom:1px solid var(--line);font-size:13.5px}
.alarm{margin:0 0 20px;padding:12px 16px;border:2px solid var(--bad);border-radius:4px;background:var(--badsoft);
color:var(--bad);font-weight:650;max-width:none}
.pair{display:grid;grid-template-columns:minmax(0,5fr) minmax(0,6fr);gap:32px 44px;align-items:center;margin:18px 0 30px}
.grid2{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:34px 44px;margin:20px 0}
.grid3{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:28px 32px;margin:18px 0}
figure{margin:0;break-inside:avoid}
figcaption{margin-top:6px;color:var(--muted);font-size:13px;line-height:1.45}
.card{padding:12px 0;border-top:1px solid var(--line);break-inside:avoid}
.card:first-child{border-top:0}
.card h3{display:flex;flex-wrap:wrap;align-items:center;gap:8px;margin:0 0 2px}
.card p{margin:3px 0 0;font-size:14px}
.tag{flex:none;white-space:nowrap;padding:0 8px;border:1px solid var(--edge);border-radius:99px;font-size:12px;
font-weight:600;line-height:20px}
.tag.failed{border-color:var(--bad)}
.scores{margin-left:auto;color:var(--muted);font-size:13px;font-weight:400;font-variant-numeric:tabular-nums}
.icon{display:inline-block;flex:none;width:13px;height:13px;vertical-align:-1px}
.scroll{overflow-x:auto;margin:22px 0 4px}
table{border-collapse:separate;border-spacing:0;width:100%;border-bottom:1.5px solid var(--ink);font-size:13.5px;
line-height:1.35;font-variant-numeric:tabular-nums}
caption{padding:0 0 7px;text-align:left;font-size:15px;font-weight:650}
th,td{padding:5px 9px;text-align:right;white-space:nowrap;vertical-align:baseline}
th:first-child,td:first-child{padding-left:0}
th:last-child,td:last-child{padding-right:0}
thead th{font-weight:500;color:var(--muted);vertical-align:bottom}
thead tr:first-child th{border-top:1.5px solid var(--ink);padding-top:7px}
thead th[rowspan],thead tr:last-child th{border-bottom:1px solid var(--edge);padding-bottom:6px}
thead .group{text-align:center;color:var(--ink)}
thead .group span{display:block;border-bottom:1px solid var(--line);padding-bottom:3px}
tbody tr.first>*{border-top:1px solid var(--line)}
tbody tr.first:first-child>*{border-top:0}
tbody tr:last-child>*{padding-bottom:7px}
tbody th{text-align:left;font-weight:600}
tbody th[rowspan]{vertical-align:top}
.sys{position:sticky;left:0;z-index:1;background:var(--paper);max-width:15em;overflow:hidden;text-overflow:ellipsis}
th.left{text-align:left}
.w{text-align:left;white-space:normal;min-width:9em}
.none{color:var(--muted)}
.bad td{color:var(--muted)}
.bad .conc{color:var(--bad);font-weight:650}
.notes{margin:10px 0 0;padding:0;list-style:none;color:var(--muted);font-size:13px;line-height:1.5;max-width:66em}
.notes li{margin:3px 0;padding-left:1.1em;text-indent:-1.1em}
.failed{color:var(--bad)}
details{margin:14px 0;border-top:1px solid var(--line);padding-top:10px}
summary{cursor:pointer;font-weight:600}
.inputs{font-size:13px;gap:3px 20px;max-width:70em}.inputs dd{color:var(--muted)}.inputs dt{color:var(--ink)}
.narrow table{width:auto;min-width:24em}
.data{margin:6px 0 0;padding:0;border:0;font-size:13px}
.data summary{width:max-content;color:var(--link);font-weight:400;font-size:12.5px}
.data .scroll{margin:6px 0 0}.data table{width:auto;min-width:60%;font-size:12.5px;border-bottom-width:1px}
.data thead tr:first-child th{border-top-width:1px}
.heat{min-width:620px;margin-top:10px}
code{font:0.92em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.formula{margin:10px 0;padding:10px 14px;background:var(--soft);border-radius:4px;overflow-x:auto;white-space:nowrap;
max-width:62em}
nav{margin:18px 0 0;font-size:13.5px;color:var(--muted)}nav a{margin-right:1.1em;white-space:nowrap}
.wide{display:grid;grid-template-columns:minmax(0,1fr);gap:34px;margin:24px 0}
h4{margin:24px 0 6px;font-size:14px;font-weight:650}
tbody+tbody tr:first-child>*{border-top:1px solid var(--line)}
thead th.word,td.word{text-align:left}td.word{white-space:nowrap}tbody th.key{padding-left:9px;white-space:nowrap;font-weight:500}
.best{font-weight:650}tr.bad th{color:var(--bad)}
sup{font-size:10.5px;line-height:0}sup a{text-decoration:none}
.footnotes{margin:8px 0 0;padding:0 0 0 1.6em;color:var(--muted);font-size:13px;line-height:1.5;max-width:66em}
.warn{margin:12px 0;padding:10px 16px;list-style:none;border-left:3px solid var(--bad);background:var(--badsoft);max-width:62em}
pre{margin:10px 0;padding:10px 14px;background:var(--soft);border-radius:4px;overflow-x:auto;max-width:62em}
details>summary h2,details>summary h3{display:inline;margin:0;padding:0;border:0}
details.fold{margin:56px 0 6px;padding-top:14px;border-top:1px solid var(--ink)}
details.fold+details.fold{margin-top:22px}
footer{margin-top:56px;padding-top:14px;padding-bottom:40px;border-top:1px solid var(--line);color:var(--muted);
font-size:13px}
@media (max-width:820px){.meta{grid-template-columns:max-content 1fr}.pair,.grid2{grid-template-columns:minmax(0,1fr)}
.grid3{grid-template-columns:minmax(0,1fr)}}
@media screen and (max-width:560px){main,header,footer{padding-left:16px;padding-right:16px}header{padding-top:26px}h1{font-size:23px}
dl,.meta{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}.sys{max-width:8.5em;white-space:normal;overflow-wrap:break-word}.scores{display:block;margin:0}
.formula{white-space:normal}
table:not(.few){display:block}table:not(.few)>*{display:block}table:not(.few) thead{display:none}
table:not(.few) tr{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:5px 10px;padding:7px 0;border-top:1px solid var(--line)}
table:not(.few) tbody tr>*{padding:0;border:0}
table:not(.few) th,table:not(.few) .conc,table:not(.few) .w{grid-column:1/-1;max-width:none;position:static}
table:not(.few) td{display:flex;flex-direction:column;justify-content:flex-end;text-align:left;white-space:normal;overflow-wrap:anywhere}
table:not(.few) td::before{content:attr(data-l);color:var(--muted);font-size:11px;line-height:1.25;font-weight:400}
table:not(.few) .w{flex-direction:row;justify-content:flex-start;gap:8px}
table:not(.few) .w::before{flex:0 0 7.6em;line-height:1.6}
table:not(.few) .conc{display:block}table:not(.few) .conc::before{content:"concurrency "}
table:not(.few) .word{grid-column:auto}table:not(.few) .blank{display:none}
table:not(.few) th.key{padding:0}table:not(.few) th.key::before{content:attr(data-l) " ";color:var(--muted);font-weight:400}
table:not(.few) tbody+tbody tr:first-child{border-top-color:var(--edge)}
table:not(.few) .first{border-top-color:var(--edge)}}
@media print{body{font-size:10pt}main,header,footer{max-width:none;padding:0}h1{font-size:18pt}h2{margin-top:22pt;
break-after:avoid}
h3,.lead,summary{break-after:avoid}.data{display:none}details::details-content{content-visibility:visible}
nav{display:none}.scroll{overflow:visible}table{font-size:8pt;break-inside:avoid}tr{break-inside:avoid}th,td{padding:2pt 4pt}
.heat{min-width:0}.pair{grid-template-columns:1fr 1fr}
.grid2{grid-template-columns:1fr 1fr}
.grid3{grid-template-columns:1fr 1fr 1fr}.sys{position:static}a{color:inherit;text-decoration:none}}
)css";
}

}  // namespace moecap::report
