/** The one style sheet, inlined in every page and allowed there by its hash. @module */

/** Phone first; light and dark follow the person's system. */
export const STYLE = `
:root{color-scheme:light dark;--ink:#1a2230;--soft:#5b6472;--line:#d6dbe3;--paper:#fff;--ground:#f3f5f8;--accent:#1f5fd1;--on-accent:#fff;--warn:#fff4d6;--warn-line:#e3b341}
@media (prefers-color-scheme:dark){:root{--ink:#e7ebf2;--soft:#9aa5b5;--line:#333c4a;--paper:#1a2029;--ground:#10141a;--accent:#7aa8ff;--on-accent:#0d1524;--warn:#332a10;--warn-line:#8d6d1d}}
*{box-sizing:border-box}
[hidden]{display:none!important}
body{margin:0;min-height:100vh;background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,sans-serif;display:flex;flex-direction:column;align-items:center;padding:1rem}
header,main{width:100%;max-width:30rem}
.wide>*{max-width:48rem}
header{display:flex;flex-wrap:wrap;justify-content:space-between;align-items:center;gap:.25rem 1rem;padding:.5rem 0 1rem;color:var(--soft);font-size:.875rem}
form{margin:0}
header form{display:inline}
main{background:var(--paper);border:1px solid var(--line);border-radius:.75rem;padding:1.5rem}
main>:last-child{margin-bottom:0}
h1{font-size:1.375rem;line-height:1.25;margin:0 0 .75rem}
p{margin:0 0 1rem}
dl{margin:0 0 1rem;display:grid;grid-template-columns:auto 1fr;gap:.375rem 1rem}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
time{white-space:nowrap}
small{color:var(--soft);font-size:.875rem}
.code{display:block;margin:0 0 1rem;padding:.75rem;border:1px dashed var(--line);border-radius:.5rem;text-align:center;font:600 1.5rem/1.2 ui-monospace,monospace;letter-spacing:.06em}
.warn{padding:.75rem;border:1px solid var(--warn-line);border-radius:.5rem;background:var(--warn)}
label,legend{display:block;margin:0 0 .25rem;font-weight:600}
input[type=text],select,textarea{width:100%;padding:.625rem .75rem;margin:0 0 1rem;border:1px solid var(--soft);border-radius:.5rem;background:var(--paper);color:inherit;font:inherit}
::placeholder{color:var(--soft);opacity:1}
input.typed{font:600 1.25rem/1.2 ui-monospace,monospace;letter-spacing:.06em}
fieldset,legend{margin:0;padding:0;border:0;min-width:0}
form>fieldset{margin-bottom:1rem}
dd .choice:first-child{margin-top:-.25rem}
.choice{display:flex;gap:.625rem;margin:0;padding:.25rem 0;font-weight:400}
.choice input{flex:none;width:1.25rem;height:1.25rem;margin:.125rem 0 0;font:inherit;accent-color:var(--accent)}
.choice span{overflow-wrap:anywhere;min-width:0}
details{margin:0 0 1rem}
summary{display:list-item;padding:.5rem 0;font-weight:600;color:var(--accent);cursor:pointer}
.cards{list-style:none;margin:0 0 1rem;padding:0;display:grid;grid-template-columns:repeat(auto-fill,minmax(min(20rem,100%),1fr));align-items:start;gap:1rem}
.cards>li{min-width:0;padding:1rem;border:1px solid var(--line);border-radius:.5rem}
.cards>li>:last-child{margin-bottom:0}
.cards dl{font-size:.875rem}
.cards p{margin:0 0 .5rem;font-size:.875rem}
.cards button{padding:.5rem;font-size:.875rem}
.cards details{margin:.5rem 0 0}
h2{font-size:1.0625rem;line-height:1.3;margin:0 0 .25rem;overflow-wrap:anywhere}
.over,.over h2{color:var(--soft);font-weight:400}
.notice{padding:.75rem;margin:0 0 1rem;border:1px solid var(--accent);border-radius:.5rem}
.notice>:last-child{margin:0}
.secret{resize:none;border-color:var(--soft);font-size:1rem;text-align:left;word-break:break-all}
@media (max-width:30rem){.secret{min-height:5.25rem}}
.buttons{display:grid;grid-template-columns:1fr 1fr;gap:.75rem}
.stack{display:grid;gap:.75rem}
button,a.button{display:block;width:100%;min-height:2.75rem;padding:.625rem 1rem;border:1px solid var(--accent);border-radius:.5rem;background:var(--paper);color:var(--accent);font:600 1rem/1.3 system-ui,sans-serif;text-align:center;text-decoration:none;cursor:pointer}
button.main{background:var(--accent);color:var(--on-accent)}
a{color:var(--accent)}
.plain{display:inline-block;width:auto;min-height:1.5rem;padding:0;border:0;background:none;color:var(--accent);font:inherit;text-decoration:underline}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.error{color:#b3261e;font-weight:600}
@media (prefers-color-scheme:dark){.error{color:#ff9a92}}
`
