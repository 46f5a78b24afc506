// The page of a sale. Talks to this server alone: the API for events, /live/stream for what happens.

const KEEP = 600; // moments kept for charts, ten minutes
const SILENCE_MS = 10_000; // a stream that says nothing for so long is taken for dead
const STATES = [["paid", "Paid"], ["pending", "Pending"], ["held", "In carts"], ["blocked", "Blocked"], ["waiting", "Waiting list"]];
const COLUMN = {paid: 6, pending: 5, held: 4, blocked: 7, waiting: 8};
const PAST = {held: 0, pending: 1, paid: 2, blocked: 3, free: 4};
const STACK = ["paid", "pending", "blocked", "held"]; // from the bottom: the surest first

const $ = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en", {maximumFractionDigits: 0});
const tenths = new Intl.NumberFormat("en", {maximumFractionDigits: 1});
const rate = (n) => (n < 10 ? tenths : whole).format(n);
const element = (tag, className = "", text = "") => Object.assign(document.createElement(tag), {className, textContent: text});

let token = sessionStorage.getItem("token") ?? "";
let sale = null; // {quotas: [[id, name, date, from]…]} and what has been seen of it
let rows = new Map(); // by quota: id, size, closed, free, held, pending, paid, blocked, waiting, exited
let past = []; // moments: {at, requests, orders, units, quotas: Map(id → [held, pending, paid, blocked, free])}
let cards = new Map();
let chosen = null;
let following = null; // AbortController of the stream

class Refused extends Error {}

async function ask(path, options = {}) {
  const answer = await fetch(path, {...options, headers: {Authorization: `Token ${token}`}, cache: "no-store"});
  if (answer.status === 401) throw new Refused("This token is not valid, or not any more.");
  if (answer.status === 403) throw new Refused("This token may not view orders here.");
  if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
  return answer;
}

const json = async (path) => (await ask(path)).json();

// ------------------------------------------------------------------------------------------------ where we are

function show(section) {
  for (const id of ["login", "events", "sale"]) $(id).hidden = id !== section;
  $("leave").hidden = section === "login";
  $("state").hidden = section !== "sale";
}

function signOut(reason = "") {
  following?.abort();
  token = "";
  sessionStorage.removeItem("token");
  title("Holdfast", "How a sale is going, second by second");
  $("refused").textContent = reason;
  show("login");
  $("token").focus();
}

function title(name, below) {
  $("title").textContent = name;
  $("subtitle").textContent = below;
  document.title = name === "Holdfast" ? "Live · Holdfast" : `${name} · Holdfast`;
}

async function route() {
  following?.abort();
  if (!token) return signOut();
  const [, organizer, event] = location.hash.split("/").map(decodeURIComponent);
  try {
    if (organizer && event) await watch(organizer, event);
    else await chooseEvent();
  } catch (error) {
    if (error instanceof Refused) signOut(error.message);
    else if (error.name !== "AbortError") {
      $("refused").textContent = error.message;
      show("login");
    }
  }
}

const words = (names) => names?.[navigator.language?.slice(0, 2)] ?? names?.en ?? Object.values(names ?? {})[0] ?? "";
const day = (text) => (text ? new Date(text).toLocaleDateString("en", {year: "numeric", month: "short", day: "numeric"}) : "");

async function chooseEvent() {
  const found = [];
  for (const organizer of (await json("/api/v1/organizers/")).results) {
    let page = `/api/v1/organizers/${organizer.slug}/events/?ordering=-date_from`;
    while (page && found.length < 500) {
      const {results, next} = await json(page);
      for (const event of results) found.push([organizer, event]);
      page = next && new URL(next).pathname + new URL(next).search;
    }
  }
  $("event-list").replaceChildren(...found.map(([organizer, event]) => {
    const link = element("a");
    link.href = `#/${encodeURIComponent(organizer.slug)}/${encodeURIComponent(event.slug)}`;
    link.append(element("b", "", words(event.name) || event.slug), element("span", "", day(event.date_from)));
    const line = element("li");
    line.append(link);
    return line;
  }));
  $("no-events").hidden = found.length > 0;
  title("Holdfast", "How a sale is going, second by second");
  show("events");
}

// -------------------------------------------------------------------------------------------------- the stream

async function watch(organizer, event) {
  const mine = (following = new AbortController());
  [sale, rows, past, cards, chosen] = [null, new Map(), [], new Map(), null];
  $("quotas").replaceChildren();
  $("alarms").replaceChildren();
  const about = await json(`/api/v1/organizers/${encodeURIComponent(organizer)}/events/${encodeURIComponent(event)}/`);
  if (mine.signal.aborted) return;
  title(words(about.name) || event, [day(about.date_from), organizer].filter(Boolean).join(" · "));
  state("lost", "connecting");
  show("sale");
  for (let pause = 1000; !mine.signal.aborted; pause = Math.min(pause * 2, 10_000)) {
    try {
      await follow(organizer, event, mine, () => (pause = 500));
    } catch (error) {
      if (error instanceof Refused) throw error;
    }
    if (mine.signal.aborted) return;
    state("lost", "reconnecting");
    await new Promise((done) => setTimeout(done, pause));
  }
}

async function follow(organizer, event, mine, well) {
  const once = new AbortController();
  const end = () => once.abort();
  mine.signal.addEventListener("abort", end);
  let silence = setTimeout(end, SILENCE_MS);
  try {
    const query = new URLSearchParams({organizer, event});
    const answer = await ask(`/live/stream?${query}`, {signal: once.signal});
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; ;) {
      const {done, value} = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(end, SILENCE_MS);
      const parts = (text + value).split("\n\n");
      text = parts.pop();
      for (const part of parts) {
        const [, name, data] = part.match(/^event: (\w+)\ndata: (.*)$/s);
        (name === "hello" ? hello : frame)(JSON.parse(data));
        well();
      }
    }
  } finally {
    clearTimeout(silence);
    mine.signal.removeEventListener("abort", end);
  }
}

function hello({sale: told, now, past: before}) {
  sale = told;
  const ids = told.quotas.map(([id]) => id);
  past = before.map(([at, requests, orders, units, ...numbers]) => ({
    at, requests, orders, units, quotas: new Map(ids.map((id, n) => [id, numbers.slice(5 * n, 5 * n + 5)])),
  }));
  rows = new Map();
  make();
  frame(now, false);
}

function frame(now, fresh = true) {
  for (const row of now.quotas) rows.set(row[0], row);
  const [requests, orders, units] = now.rates;
  if (fresh) {
    const quotas = new Map([...rows].map(([id, row]) => [id, [row[4], row[5], row[6], row[7], row[3]]]));
    past.push({at: now.at, requests, orders, units, quotas});
    past.splice(0, past.length - (rows.size > 100 ? KEEP / 5 : KEEP));
  }
  const closed = now.alarms.some(({kind}) => kind === "fence");
  state(now.alarms.length ? "alarm" : "live", closed ? "not selling" : now.alarms.length ? "look here" : "live");
  const told = now.alarms.map(({text}) => text).join("\n");
  if ($("alarms").dataset.told !== told) {
    $("alarms").dataset.told = told;
    $("alarms").replaceChildren(...now.alarms.map(({text}) => element("p", "", text)));
  }
  $("orders").textContent = rate(orders);
  $("units").textContent = rate(units);
  $("requests").textContent = rate(requests);
  lag(now.lag);
  const changed = new Set(now.quotas.map(([id]) => id));
  for (const [id, card] of cards) if (changed.has(id)) fill(card, rows.get(id));
  focus();
  if (changed.size) arrange();
  draw();
}

function state(className, text) {
  $("state").className = className;
  $("state").textContent = text;
}

function lag(told) {
  const big = $("lag");
  if (told === null) {
    big.textContent = "–";
    $("lag-note").textContent = "Redis is away";
    return;
  }
  const [entries, seconds] = told;
  big.replaceChildren(whole.format(entries), element("small", "", entries === 1 ? " change" : " changes"));
  $("lag-note").textContent = entries ? `oldest: ${seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${tenths.format(seconds)} s`}` : "all is confirmed";
}

// ----------------------------------------------------------------------------------------------------- quotas

function make() {
  cards = new Map(sale.quotas.map(([id, name, date, from]) => {
    const card = element("button", "panel quota");
    card.type = "button";
    const line = element("div", "line");
    const free = element("span", "free");
    line.append(element("span", "name", name), free);
    const below = [date, date && day(from)].filter(Boolean).join(", ");
    const bar = makeBar();
    const counts = element("div", "counts");
    const canvas = element("canvas");
    card.append(line, ...(below ? [element("div", "dim", below)] : []), bar, counts, canvas);
    card.addEventListener("click", () => { choose(id); scrollTo({top: 0, behavior: "smooth"}); });
    return [id, {id, name, below, card, free, bar, counts, canvas, seen: false}];
  }));
  eyes.disconnect();
  for (const one of cards.values()) {
    one.card.dataset.id = one.id;
    eyes.observe(one.card);
  }
  $("no-quotas").hidden = cards.size > 0;
  $("tools").hidden = cards.size < 2;
  $("quotas").hidden = cards.size < 2;
  $("filter").hidden = $("order").hidden = cards.size < 7;
  if (!cards.has(chosen)) chosen = sale.quotas[0]?.[0] ?? null;
  $("focus").hidden = chosen === null;
  arrange(true);
  choose(chosen);
}

// a thousand charts are not drawn where nobody looks
const eyes = new IntersectionObserver((entries) => {
  for (const {target, isIntersecting} of entries) {
    const one = cards.get(Number(target.dataset.id));
    if (!one) continue;
    one.seen = isIntersecting;
    if (isIntersecting) spark(one);
  }
}, {rootMargin: "200px"});

function makeBar(className = "bar") {
  const bar = element("div", className);
  for (const [name] of STATES) bar.append(element("i", name));
  return bar;
}

function choose(id) {
  chosen = id;
  for (const one of cards.values()) one.card.classList.toggle("chosen", one.id === id);
  focus();
  draw();
}

const used = (row) => STATES.reduce((sum, [name]) => sum + row[COLUMN[name]], 0);

function fillBar(bar, row) {
  const all = Math.max(row[1] ?? 0, used(row), 1);
  STATES.forEach(([name], n) => { bar.children[n].style.width = `${100 * row[COLUMN[name]] / all}%`; });
  bar.title = STATES.map(([name, text]) => `${text}: ${whole.format(row[COLUMN[name]])}`).join(", ");
}

function freeText(row) {
  if (row[2]) return ["Closed", ""];
  if (row[3] === null) return ["∞", "free"];
  if (row[3] === 0) return ["Sold out", ""];
  return [whole.format(row[3]), "free"];
}

function fill(one, row) {
  const [number, word] = freeText(row);
  one.free.replaceChildren(element("b", "", number), word && ` ${word}`);
  one.free.classList.toggle("soldout", row[3] === 0);
  fillBar(one.bar, row);
  one.counts.replaceChildren(...STATES.filter(([name], n) => n < 3 || row[COLUMN[name]]).map(([name, text]) => {
    const count = element("span", "", `${text.toLowerCase()} `);
    count.append(element("b", "", whole.format(row[COLUMN[name]])));
    return count;
  }));
}

function focus() {
  const one = cards.get(chosen);
  const row = rows.get(chosen);
  if (!one || !row) return;
  $("focus-name").textContent = one.name;
  const size = row[1] === null ? "no limit" : `${whole.format(row[1])} in all`;
  $("focus-date").textContent = [one.below, size].filter(Boolean).join(" · ");
  const [number, word] = freeText(row);
  $("focus-free").textContent = number;
  $("focus-free-word").textContent = word;
  $("focus-free").parentElement.classList.toggle("soldout", row[3] === 0);
  if (!$("focus-bar").children.length) $("focus-bar").append(...makeBar().children);
  fillBar($("focus-bar"), row);
  const shown = STATES.filter(([name], n) => n < 4 || row[COLUMN[name]]);
  $("focus-legend").replaceChildren(...shown.map(([name, text]) => {
    const line = element("div");
    const count = element("dd", "", whole.format(row[COLUMN[name]]));
    if (row[1]) count.append(element("span", "share", ` ${tenths.format(100 * row[COLUMN[name]] / row[1])}%`));
    line.append(element("i", name), element("dt", "", text), count);
    return line;
  }));
}

let arranged = "";
function arrange(anew = false) {
  const wanted = $("filter").value.trim().toLowerCase();
  const by = $("order").value;
  const found = [...cards.values()].filter((one) => `${one.name} ${one.below}`.toLowerCase().includes(wanted));
  const row = (one) => rows.get(one.id) ?? [0, null, 0, null, 0];
  if (by === "free") found.sort((a, b) => (row(a)[3] ?? Infinity) - (row(b)[3] ?? Infinity));
  if (by === "held") found.sort((a, b) => row(b)[4] - row(a)[4]);
  if (by === "name") found.sort((a, b) => a.name.localeCompare(b.name));
  const now = found.map((one) => one.id).join();
  if (anew || now !== arranged) $("quotas").replaceChildren(...found.map((one) => one.card));
  arranged = now;
  $("quota-count").textContent = found.length < cards.size ? `${found.length} of ${cards.size}` : `${cards.size}`;
}

// ----------------------------------------------------------------------------------------------------- charts

function paper(canvas) {
  const {width, height} = canvas.getBoundingClientRect();
  const scale = devicePixelRatio || 1;
  if (!width) return null;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  return {pen, width, height};
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function line(canvas, values, name) {
  const found = values.length > 1 && paper(canvas);
  if (!found) return;
  const {pen, width, height} = found;
  const most = Math.max(...values, 1);
  const x = (n) => (n / (values.length - 1)) * width;
  const y = (value) => height - 2 - (value / most) * (height - 4);
  pen.beginPath();
  values.forEach((value, n) => pen.lineTo(x(n), y(value)));
  pen.strokeStyle = color(name);
  pen.lineWidth = 1.75;
  pen.lineJoin = "round";
  pen.stroke();
  pen.lineTo(width, height);
  pen.lineTo(0, height);
  pen.globalAlpha = 0.14;
  pen.fillStyle = color(name);
  pen.fill();
}

function spark(one) {
  const values = past.map((moment) => moment.quotas.get(one.id)).filter((numbers) => numbers && numbers[0] !== null);
  areas(one.canvas, one.id, values, {x: (n) => n / Math.max(1, values.length - 1), box: [0, 1, 0, 0]});
}

// Draws what is taken, state by state, one on another; what is left above is free. `box`: left, top, right, bottom.
function areas(canvas, id, values, {x, box: [left, top, right, bottom], ticks}) {
  const found = values.length > 1 && paper(canvas);
  if (!found) return;
  const {pen, width, height} = found;
  const taken = (numbers) => STACK.reduce((sum, name) => sum + numbers[PAST[name]], 0);
  const size = rows.get(id)?.[1] ?? null;
  // early in a sale the whole size would leave nothing to be seen; how full it is tells the bar
  const highest = Math.max(...values.map(taken), 1);
  const most = size === null ? highest * 1.1 : Math.max(highest, Math.min(size, highest * 2.5));
  const across = (n) => left + x(n) * (width - left - right);
  const up = (value) => height - bottom - (value / most) * (height - top - bottom);
  ticks?.(pen, {left, right: width - right, up, most, height});
  let below = values.map(() => 0);
  for (const name of STACK) {
    const above = values.map((numbers, n) => below[n] + numbers[PAST[name]]);
    pen.beginPath();
    above.forEach((value, n) => pen.lineTo(across(n), up(value)));
    for (let n = values.length - 1; n >= 0; n--) pen.lineTo(across(n), up(below[n]));
    pen.fillStyle = color(name);
    pen.fill();
    below = above;
  }
}

function niceStep(most) {
  const power = 10 ** Math.floor(Math.log10(most / 3 || 1));
  return Math.max(1, [1, 2, 5, 10].map((n) => n * power).find((step) => most / step <= 4.5));
}

function bigChart() {
  const moments = past.filter(({quotas}) => (quotas.get(chosen) ?? [null])[0] !== null);
  if (moments.length < 2) return;
  const [first, last] = [moments[0].at, moments.at(-1).at];
  const span = Math.max(last - first, 1);
  const ticks = (pen, {left, right, up, most, height}) => {
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = color("dim");
    pen.strokeStyle = color("line");
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (let value = 0, step = niceStep(most); value <= most; value += step) {
      pen.beginPath();
      pen.moveTo(left, Math.round(up(value)) + 0.5);
      pen.lineTo(right, Math.round(up(value)) + 0.5);
      pen.stroke();
      pen.fillText(whole.format(value), left - 8, up(value));
    }
    pen.textBaseline = "alphabetic";
    const step = [5, 10, 15, 30, 60, 120, 300].map((seconds) => seconds * 1000).find((ms) => span / ms <= 6) ?? 600_000;
    for (let at = Math.ceil(first / step) * step; at <= last; at += step) {
      const place = left + ((at - first) / span) * (right - left);
      if (place < left + 24 || place > right - 24) continue;
      pen.textAlign = "center";
      pen.fillText(new Date(at).toLocaleTimeString("en-GB"), place, height - 3);
    }
  };
  const widest = whole.format(Math.max(rows.get(chosen)?.[1] ?? 0, 1000)).length * 7 + 12;
  areas($("focus-past"), chosen, moments.map(({quotas}) => quotas.get(chosen)), {
    x: (n) => (moments[n].at - first) / span, box: [widest, 8, 2, 22], ticks,
  });
}

function draw() {
  line($("orders-past"), past.map(({orders}) => orders), "paid");
  line($("units-past"), past.map(({units}) => units), "pending");
  line($("requests-past"), past.map(({requests}) => requests), "held");
  bigChart();
  if (cards.size > 1) for (const one of cards.values()) if (one.seen) spark(one);
}

// ------------------------------------------------------------------------------------------------------ begin

$("login").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  token = $("token").value.trim().replace(/^Token\s+/i, "");
  $("token").value = "";
  $("refused").textContent = "";
  sessionStorage.setItem("token", token);
  route();
});
$("leave").addEventListener("click", () => signOut());
$("filter").addEventListener("input", () => arrange());
$("order").addEventListener("change", () => arrange());
addEventListener("hashchange", route);
addEventListener("resize", () => sale && draw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => sale && draw());
route();
