// The page of the door: it listens to /v1/events and draws what it hears.
//
//   events ──▶ picture ──▶ the sentence, the ring, the figures, the table     (nothing of it is remembered but five minutes of load)
//   forms  ──▶ /v1/whereis, /v1/kv, /v1/ring/join and the changes beside it   (with the token of this tab, if the door has one)
//
// Names of keys and addresses come from outside: they go in as text, never as HTML. Values are saved, never shown.
'use strict';

const $ = (id) => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';

/** An element with attributes and children; text stays text. */
function make(space, tag, attributes, children) {
  const element = space ? document.createElementNS(space, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
const el = (tag, attributes, ...children) => make(null, tag, attributes, children);
const draw = (tag, attributes, ...children) => make(SVG, tag, attributes, children);

/** Sets a text only where it is another one, so that nobody is told the same twice. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// ---- words and figures ------------------------------------------------------------------------------------------------

const whole = new Intl.NumberFormat('en');
const number = (n) => (n === null || n === undefined ? '–' : whole.format(Math.round(n)));

function bytes(n) {
  if (n === null || n === undefined) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit += 1; }
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[unit]}`;
}

function percent(part) {
  const of = 100 * part;
  return `${of >= 10 || of === 0 ? Math.round(of) : of.toFixed(1)} %`;
}

function took(us) {
  if (us === null || us === undefined) return '–';
  if (us < 1000) return `${(us / 1000).toFixed(2)} ms`;
  if (us < 10000) return `${(us / 1000).toFixed(1)} ms`;
  return us < 1e6 ? `${Math.round(us / 1000)} ms` : `${(us / 1e6).toFixed(1)} s`;
}

function left(seconds) {
  if (seconds === null || seconds === undefined) return '';
  if (seconds < 1) return 'nearly done';
  if (seconds < 90) return `${Math.ceil(seconds)} s left`;
  return seconds < 5400 ? `${Math.ceil(seconds / 60)} min left` : `${(seconds / 3600).toFixed(1)} h left`;
}

const count = (n, one) => `${number(n)} ${one}${n === 1 ? '' : 's'}`;
const hash = (text) => [...text].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) >>> 0, 7);

/** The part of an address that tells it from the others; on a narrow screen, without what all hosts begin with. */
function shortener(addresses, narrow) {
  const split = (address) => {
    const at = address.lastIndexOf(':');
    return [address.slice(0, at), address.slice(at + 1)];
  };
  const parts = addresses.map(split);
  const same = (n) => parts.length > 1 && parts.every((part) => part[n] === parts[0][n]);
  const begin = parts.reduce((all, [host]) => { let n = 0; while (n < all.length && all[n] === host[n]) n += 1; return all.slice(0, n); }, parts[0]?.[0] || '');
  const common = begin.lastIndexOf('.') < 0 ? 0 : begin.lastIndexOf('.');
  return (address) => {
    const [host, port] = split(address);
    const tail = narrow ? host.slice(common) : host;
    const text = same(0) ? `:${port}` : same(1) ? tail : `${tail}:${port}`;
    return text.length > 20 ? `${text.slice(0, 9)}…${text.slice(-10)}` : text;
  };
}

/** Letters that nobody would see, or that turn the line round, as code points. */
function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);
}

/** A sentence with what is to be typed set apart. */
function spoken(element, sentence) {
  if (element.dataset.said === sentence) return;
  element.dataset.said = sentence;
  element.replaceChildren(...sentence.split(/'(sdht [^']*)'/).map((part, n) => (n % 2 ? el('code', {}, part) : part)));
}

// ---- what is known ------------------------------------------------------------------------------------------------------

let picture = null;
let loads = [];
let heard = 0;
let chosen = null;
let pointed = null;
let pin = null;
let short = (address) => address;

const PRESENT = ['serving', 'being filled', 'full'];
/** It is not there: silent, or another one is in its place. */
const isAway = (storage) => storage.state === 'silent' || storage.state === 'replaced';
const byId = (id) => picture && picture.storages.find((storage) => storage.id === id);

/** A no in words: the door's, or our own before it is asked. */
class Refused extends Error {}
const inWords = (why, silence) => (why instanceof Refused ? why.message : silence);

// ---- the token, and asking ------------------------------------------------------------------------------------------------

const TOKEN = 'sdht-door-token';
const shown = () => {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { authorization: `Bearer ${token}` } : {};
};
let opening = null;

/**
 * Asks the reader for the token, once for all who wait for it. Whoever closes the dialog is not asked again, but finds a button;
 * and what waited for the token is not done later.
 */
function unlock(why) {
  if (!opening) {
    say($('token-said'), sessionStorage.getItem(TOKEN) ? why : '');
    sessionStorage.removeItem(TOKEN);
    opening = new Promise((open, close) => {
      $('token-form').onsubmit = (event) => {
        event.preventDefault();
        const token = $('token-text').value.trim();
        $('token-text').value = '';
        // Another could not stand in a head: the request would fail here, and the door would never hear of it.
        if (!/^[!-~]+$/.test(token)) {
          say($('token-said'), 'No token is written so: it has only letters from a to z, digits and signs, and no spaces. It was not kept.');
          return;
        }
        sessionStorage.setItem(TOKEN, token);
        $('token').close();
      };
      $('token').onclose = () => {
        opening = null;
        $('token-text').value = '';
        $('locked').hidden = sessionStorage.getItem(TOKEN) !== null;
        watchTheClock();
        if ($('locked').hidden) open();
        else close(new Refused('Nothing was done: the door wants its token first.'));
      };
      $('token').showModal();
    });
  }
  return opening;
}

/** A request to this door; with the token, if it wants one. */
async function ask(place, options = {}) {
  for (;;) {
    const reply = await fetch(place, { ...options, cache: 'no-store', headers: { ...options.headers, ...shown() } });
    if (reply.status !== 401) return reply;
    await unlock('The door does not know that token.');
  }
}

/** What went wrong, in the door's own words. */
async function problem(reply) {
  const text = await reply.text();
  try { return JSON.parse(text).detail || text; } catch { return text || `${reply.status} ${reply.statusText}`; }
}

const JSON_TOO = { accept: 'application/json' };
/**
 * Where a key is found below a place. It is one part of the path, its slashes encoded: a browser takes dots between slashes for
 * steps, and goes to another key.
 */
function keyPlace(place, key) {
  if (key === '.' || key === '..') throw new Refused(`No browser can name the key '${key}': it takes it for a step in the path. 'sdht get -- ${key}' in a terminal does, and so do set and del.`);
  return `${place}/${encodeURIComponent(key)}`;
}

// ---- listening ----------------------------------------------------------------------------------------------------------

const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

async function listen() {
  for (;;) {
    try {
      const reply = await ask('/v1/events');
      if (!reply.ok) throw new Error(await problem(reply));
      const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ''; ;) {
        const { done, value } = await reader.read();
        if (done) break;
        const events = (rest + value).split('\n\n');
        rest = events.pop();
        events.forEach(hear);
      }
    } catch { /* It is said below how long nothing was heard. */ }
    do await pause(1000); while (!$('locked').hidden);
  }
}

function hear(event) {
  // Cut at line feeds alone: a name may hold letters that count as a line's end elsewhere.
  const field = (name) => event.split('\n').find((line) => line.startsWith(name))?.slice(name.length);
  const [name, data] = [field('event: '), field('data: ')];
  if (!name || !data) return;
  heard = Date.now();
  if (name === 'past') loads = JSON.parse(data).loads;
  if (name === 'picture') {
    picture = JSON.parse(data);
    if (loads.at(-1)?.at_ms !== picture.load.at_ms) loads.push(picture.load);
    loads = loads.slice(-300);
    showAll();
  }
}

/** Whether what is shown is what is. */
function watchTheClock() {
  const silent = Date.now() - heard;
  const stale = heard > 0 && silent > 4000;
  document.body.classList.toggle('stale', stale);
  const seen = $('seen');
  const locked = !$('locked').hidden;
  if (!picture) say($('lead'), locked ? 'Nothing is seen without a token' : 'Looking at the ring…');
  say(seen, locked ? 'waiting for a token' : !heard ? 'listening…' : stale ? 'No word from the door: this is how it was' : 'live');
  say($('silence'), stale ? ` ${Math.round(silent / 1000)} s ago` : '');
  seen.classList.toggle('live', heard > 0 && !stale);
}

// ---- changes, in words ----------------------------------------------------------------------------------------------------

/** What a change of the ring is called while it goes on, when it is done, and when it could not be. */
const CHANGES = {
  join: (change) => [`Joining ${change.address}`, `Joined ${change.address}`, `Not joined: ${change.address}`],
  remove: (change) => [`Removing ${change.address}`, `Removed ${change.address}`, `Not removed: ${change.address}`],
  copies: (change) => [`Changing to ${copiesOf(change.copies)}`, `Changed to ${copiesOf(change.copies)}`, `Not changed to ${copiesOf(change.copies)}`],
  balance: () => ['Balancing', 'Balanced', 'Not balanced'],
  repair: () => ['Repairing', 'Repaired', 'Not repaired'],
};
const copiesOf = (n) => (n === 1 ? 'one copy' : `${number(n)} copies`);
function called(change) {
  const [going, done, failed] = CHANGES[change.what](change);
  return { running: going, done, failed, stopped: `Stopped ${going[0].toLowerCase()}${going.slice(1)}` }[change.state];
}

/** Tells those who listen, and do not look, how a change has ended. */
let over = null;
function tellTheEnd() {
  const ended = picture.changes.filter((change) => change.state !== 'running');
  // What was over before somebody came is no news.
  const news = over && ended.filter((change) => !over.has(change.begun_ms)).at(-1);
  if (news) say($('news'), `${called(news)}${news.why ? `: ${news.why}` : ''}`);
  over = new Set(ended.map((change) => change.begun_ms));
}

// ---- the sentence ---------------------------------------------------------------------------------------------------------

/** What is told as a loss; the rest is work under way, or to be done. */
const LOSSES = ['unserved', 'silent', 'replaced', 'damaged', 'full'];

function showSentence() {
  const running = picture.changes.find((change) => change.state === 'running');
  let [, lead, , rest] = /^(.*?)(; |: |, and )(.*)$/.exec(picture.sentence) || [null, picture.sentence, '', ''];
  if (picture.worst === 'half_done' && running) {
    lead = called(running);
    rest = rest.replace(/: let it go on.*$/, '.');
  } else if (picture.worst === 'half_done' && picture.moves.length > 0) {
    const to = [...new Set(picture.moves.map((move) => picture.storages[move.to].address))];
    lead = `Data is on its way to ${to.length > 2 ? count(to.length, 'storage') : to.join(' and ')}`;
  }
  say($('lead'), lead.replace(/\.$/, ''));
  spoken($('advice'), rest ? rest[0].toUpperCase() + rest.slice(1) : '');
  const mood = !picture.degraded ? 'well' : LOSSES.includes(picture.worst) ? 'bad' : 'busy';
  $('sentence').className = `state ${mood}`;
  document.title = `${lead.replace(/\.$/, '')} · sdht`;
  say($('name'), `ring ${picture.ring.slice(0, 8)} · ${count(picture.storages.length, 'storage')}`);
  say($('keys'), number(picture.keys));
  say($('bytes'), bytes(picture.bytes));
  say($('copies'), number(picture.copies));
  const wanted = $('copies-wanted');
  if (wanted.dataset.of !== String(picture.copies) && document.activeElement !== wanted) wanted.value = wanted.dataset.of = String(picture.copies);
}

// ---- the ring ---------------------------------------------------------------------------------------------------------------

const TAU = 2 * Math.PI;
/** How far a place lies from the top, clockwise, of one. */
const turn = (place) => parseInt(place.slice(0, 13), 16) / 2 ** 52;
const spread = (arc) => (arc.from === arc.to ? 1 : (turn(arc.to) - turn(arc.from) + 1) % 1);
/** A storage's colour is its place: the ring is its own colour wheel, and nobody changes colour when another comes. */
const tint = (element, storage) => {
  const own = picture.arcs.find((arc) => picture.storages[arc.members[0]]?.id === storage.id);
  const hue = own ? 360 * turn(own.to) + 165 : hash(storage.id) % 360;
  element.style.setProperty('--h', (hue % 360).toFixed(1));
  element.style.setProperty('--up', hash(storage.id) % 2 ? '.03' : '-.03');
  return element;
};

/** A piece of a band: from one part of a turn to another, between two radii. */
function band(x, y, outer, inner, from, part) {
  if (part > 0.99999) {
    const ring = (r) => `M${x} ${y - r}A${r} ${r} 0 1 1 ${x - 0.01} ${y - r}Z`;
    return ring(outer) + ring(inner);
  }
  const at = (r, t) => `${(x + r * Math.sin(t)).toFixed(2)} ${(y - r * Math.cos(t)).toFixed(2)}`;
  const [a, b, large] = [TAU * from, TAU * (from + part), part > 0.5 ? 1 : 0];
  return `M${at(outer, a)}A${outer} ${outer} 0 ${large} 1 ${at(outer, b)}L${at(inner, b)}A${inner} ${inner} 0 ${large} 0 ${at(inner, a)}Z`;
}

/** Moves names apart that would touch: down from the top, then up from the bottom. */
function apart(names, line, top, bottom) {
  names.sort((a, b) => a.y - b.y);
  const step = Math.min(line, (bottom - top) / Math.max(1, names.length - 1));
  let free = top;
  for (const name of names) { name.y = Math.max(name.y, free); free = name.y + step; }
  free = bottom;
  for (const name of [...names].reverse()) { name.y = Math.min(name.y, free); free = name.y - step; }
}

let drawn = '';
/** What each storage kept: a piece that is new or has changed comes in slowly, so that one sees who takes over from whom. */
let before = {};
const calm = matchMedia('(prefers-reduced-motion: reduce)');

function comeIn(svg, geometry) {
  const now = new Map();
  for (const piece of svg.querySelectorAll('.piece[data-place]')) {
    const [place, looks] = [piece.dataset.place, `${piece.getAttribute('d')} ${piece.getAttribute('class')}`];
    now.set(place, looks);
    const isOther = before.geometry === geometry && before.pieces.get(place) !== looks;
    if (isOther && !calm.matches) piece.animate([{ opacity: 0 }, {}], { duration: 600, easing: 'ease-out' });
  }
  before = { geometry, pieces: now };
}

function showRing() {
  const width = Math.min(760, $('figure').clientWidth || 360);
  const sign = JSON.stringify([width, picture.arcs, picture.moves.map((m) => [m.arc, m.to, m.bytes, m.bytes_total, Math.round(m.left_s)]),
    picture.storages.map((s) => [s.id, s.state, s.address]), picture.keys, chosen, pointed, pin]);
  if (sign === drawn) return;
  drawn = sign;
  const svg = $('ring');
  const focused = document.activeElement?.dataset?.storage;

  const phone = width < 520;
  short = shortener(picture.storages.map((storage) => storage.address), phone);
  // A cross is seen by those who do not see red.
  const named = (storage) => `${short(storage.address)}${isAway(storage) ? ' ✕' : ''}`;
  const names = picture.storages.map(named);
  const letters = Math.min(phone ? 12 : 20, Math.max(...names.map((name) => name.length)));
  const room = letters * 7.6 + (phone ? 34 : 48);
  const radius = Math.max(92, Math.min(244, width / 2 - room));
  const line = 17;
  const perSide = Math.ceil(picture.storages.length / 2) + 3;
  const height = Math.max(2 * radius + 72, Math.min(perSide * line, 2 * radius + 130));
  const [x, y] = [width / 2, height / 2];
  const most = Math.max(picture.copies, ...picture.arcs.map((arc) => arc.members.length));
  const [first, gap] = phone ? [16, 2] : [24, 3];
  const further = Math.max(5, Math.min(phone ? 8 : 12, (radius * 0.42 - first) / Math.max(1, most - 1) - gap));
  const outer = (track) => (track === 0 ? radius : radius - first - gap - (track - 1) * (further + gap));
  const inner = (track) => outer(track) - (track === 0 ? first : further);

  const parts = [];
  const hatch = draw('pattern', { id: 'hatch', width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' }, draw('path', { d: 'M0 0v6', class: 'hatch' }));
  parts.push(draw('defs', {}, hatch));

  const stressed = pointed ?? chosen;
  const pinned = pin && picture.arcs.findIndex((arc) => arc.from === arc.to || (turn(pin.place) - turn(arc.from) + 1) % 1 <= spread(arc));
  picture.arcs.forEach((arc, n) => {
    arc.members.forEach((member, track) => {
      const storage = picture.storages[member];
      const hair = arc.from === arc.to ? 0 : Math.min(1.6 / (TAU * outer(track)), spread(arc) / 4);
      const [from, part] = [turn(arc.from) + hair / 2, spread(arc) - hair];
      const piece = (of, kind, place) => {
        const path = draw('path', { d: band(x, y, outer(track), inner(track), from, of), class: `piece ${kind}`, 'data-of': storage.id, 'data-arc': n, 'data-place': place });
        return tint(path, storage);
      };
      const filling = arc.filling === member;
      const kind = isAway(storage) ? 'hollow' : storage.state === 'damaged' ? 'damaged' : filling ? 'coming' : track === 0 ? 'own' : 'copy';
      const group = draw('g', { class: (stressed && stressed !== storage.id) || (pin && pinned !== n) ? 'dim' : null }, piece(part, kind, `${storage.id} ${arc.to}`));
      if (kind === 'hollow') group.append(draw('path', { d: band(x, y, outer(track), inner(track), from, part), class: 'hatched', fill: 'url(#hatch)' }));
      const move = picture.moves.find((one) => one.arc === n && one.to === member);
      if (filling && move && kind === 'coming') {
        const done = Math.max(0.02, Math.min(1, move.bytes_total ? move.bytes / move.bytes_total : 0));
        group.append(piece(part * done, track === 0 ? 'own' : 'copy', null));
      }
      parts.push(group);
    });
  });

  // The dial, inside.
  const within = inner(most - 1) - 7;
  const dial = draw('g', { class: 'dial', 'aria-hidden': 'true' });
  for (let stroke = 0; stroke < 64; stroke += 1) {
    const [t, long] = [TAU * stroke / 64, stroke % 16 === 0];
    const [a, b] = [within, within - (long ? 9 : 4)];
    dial.append(draw('path', { d: `M${(x + a * Math.sin(t)).toFixed(1)} ${(y - a * Math.cos(t)).toFixed(1)}L${(x + b * Math.sin(t)).toFixed(1)} ${(y - b * Math.cos(t)).toFixed(1)}` }));
  }
  (phone ? [] : ['0', '4', '8', 'c']).forEach((digit, n) => {
    const r = within - 19;
    const text = draw('text', { x: (x + r * Math.sin(TAU * n / 4)).toFixed(1), y: (y - r * Math.cos(TAU * n / 4) + 4).toFixed(1) });
    text.textContent = digit;
    dial.append(text);
  });
  parts.push(dial);
  parts.push(...centre(x, y, within - (phone ? 12 : 30)));

  // Names stand outside, level with the middle of their own arcs.
  const labels = [];
  picture.arcs.forEach((arc) => {
    const storage = picture.storages[arc.members[0]];
    if (labels.some((label) => label.storage === storage)) return;
    const t = TAU * (turn(arc.from) + spread(arc) / 2);
    const [dx, dy] = arc.from === arc.to ? [1, 0] : [Math.sin(t), -Math.cos(t)];
    labels.push({ storage, dx, dy, side: dx >= 0 ? 1 : -1, y: y + (radius + 16) * dy });
  });
  for (const side of [1, -1]) apart(labels.filter((label) => label.side === side), line, 10, height - 10);
  labels.forEach((label, n) => {
    const { storage, dx, dy, side } = label;
    const off = label.y - y;
    const reach = Math.sqrt(Math.max(0, (radius + 16) ** 2 - off * off));
    const lx = x + side * Math.max(reach, Math.abs((radius + 8) * dx));
    const text = draw('text', { x: (lx + side * 12).toFixed(1), y: (label.y + 4).toFixed(1), 'text-anchor': side > 0 ? 'start' : 'end' });
    text.textContent = named(storage);
    const elbow = `M${(x + (radius + 3) * dx).toFixed(1)} ${(y + (radius + 3) * dy).toFixed(1)}L${lx.toFixed(1)} ${label.y.toFixed(1)}h${side * 7}`;
    const wide = 16 + 7.6 * named(storage).length;
    const hit = draw('rect', { class: 'hit', x: (side > 0 ? lx + 2 : lx - 2 - wide).toFixed(1), y: (label.y - line / 2).toFixed(1), width: wide.toFixed(1), height: line });
    parts.push(tint(draw('g', {
      class: `label ${PRESENT.includes(storage.state) ? '' : 'missing'} ${stressed === storage.id ? 'stressed' : stressed ? 'dim' : ''}`,
      role: 'button', tabindex: (chosen ? chosen === storage.id : n === 0) ? 0 : -1, 'data-storage': storage.id, 'data-of': storage.id,
      'aria-label': `${storage.address}, ${storage.state}, ${percent(storage.share)} of the ring`, 'aria-pressed': String(chosen === storage.id),
    }, hit, draw('path', { class: 'lead', d: elbow }), text), storage));
  });

  if (pin) {
    const t = TAU * turn(pin.place);
    const at = (r) => `${(x + r * Math.sin(t)).toFixed(1)} ${(y - r * Math.cos(t)).toFixed(1)}`;
    parts.push(draw('path', { class: 'pin', d: `M${at(within)}L${at(radius + 6)}` }));
    parts.push(draw('circle', { class: 'pin', cx: at(radius + 8).split(' ')[0], cy: at(radius + 8).split(' ')[1], r: 5 }));
  }

  svg.setAttribute('viewBox', `0 0 ${width} ${Math.round(height)}`);
  svg.setAttribute('width', width);
  svg.setAttribute('height', Math.round(height));
  svg.setAttribute('aria-label', `The ring, clockwise from 0 at the top: ${picture.storages.map((s) => `${s.address} ${percent(s.share)}`).join(', ')}`);
  svg.replaceChildren(...parts);
  comeIn(svg, `${width} ${Math.round(height)} ${most}`);
  if (focused) svg.querySelector(`[data-storage="${focused}"]`)?.focus({ preventScroll: true });
}

/** What stands in the middle: what is looked at, else what moves, else how much there is. */
function centre(x, y, room) {
  const storage = byId(pointed ?? chosen);
  let [large, small, below] = [number(picture.keys), picture.keys === 1 ? 'key' : 'keys', picture.copies === 1 ? 'one copy of each' : `${picture.copies} copies of each`];
  if (pin) {
    [large, small, below] = [pin.key.length > 16 ? `${visible(pin.key).slice(0, 15)}…` : visible(pin.key), `lies at ${pin.place.slice(0, 8)}…`, ''];
  } else if (storage) {
    [large, small, below] = [percent(storage.share), 'of the ring', short(storage.address)];
  } else if (picture.moves.length > 0) {
    const sum = (part) => picture.moves.reduce((all, move) => all + move[part], 0);
    const [done, total] = [sum('bytes'), sum('bytes_total')];
    // What has not begun yet comes at the pace of what is under way.
    const pace = picture.moves.reduce((all, move) => all + (move.left_s > 0 ? (move.bytes_total - move.bytes) / move.left_s : 0), 0);
    [large, small, below] = [total ? percent(done / total) : '0 %', `${bytes(done)} of ${bytes(total)} copied`, pace > 0 ? left((total - done) / pace) : ''];
  }
  const size = Math.max(17, Math.min(46, (1.78 * room) / Math.max(3, large.length)));
  const text = (words, dy, kind, px) => {
    const element = draw('text', { x, y: (y + dy).toFixed(1), class: kind });
    element.style.setProperty('font-size', `${px.toFixed(1)}px`);
    element.textContent = words;
    return element;
  };
  // A letter of the small lines is about half as wide as it is high; what would leave the circle is left out.
  const fits = (words) => Math.min(13, (3.5 * room) / Math.max(1, words.length));
  const lines = [small, below].filter((words) => words && fits(words) >= 9);
  return [text(large, 2, 'large', size), ...lines.map((words, n) => text(words, 25 + 18 * n, 'small', fits(words)))];
}

// ---- figures, moves, load -----------------------------------------------------------------------------------------------

function bar(part) {
  const fill = el('span', { class: 'done' });
  fill.style.width = `${(100 * Math.min(1, part)).toFixed(1)}%`;
  return el('span', { class: 'bar', 'aria-hidden': 'true' }, fill);
}

function showMoves() {
  const recent = picture.changes.filter((change) => change.state !== 'done' || picture.now_ms - change.begun_ms < 3600e3).reverse();
  const rows = [];
  for (const change of recent) {
    const running = change.state === 'running';
    const facts = [...(change.keys || running ? [`${count(change.keys, 'key')}, ${bytes(change.bytes)} copied`] : []), ...(change.swept ? [`${number(change.swept)} dead swept`] : [])];
    const [, word, address] = /^(.*?)(\S+:\d+)?$/.exec(called(change));
    rows.push(el('li', { class: change.state }, el('p', { class: 'what' }, word, ...(address ? [el('b', {}, address)] : []), running ? el('span', {}, percent(change.share)) : ''),
      ...(running ? [bar(change.share)] : []), el('p', { class: change.state === 'failed' ? 'bad' : 'note' }, change.why || facts.join('; '))));
  }
  for (const move of picture.moves) {
    const [arc, storage] = [picture.arcs[move.arc], picture.storages[move.to]];
    rows.push(el('li', {}, el('p', { class: 'what' }, el('b', {}, storage.address), ' is being filled', el('span', {}, left(move.left_s))),
      bar(move.bytes_total ? move.bytes / move.bytes_total : 0),
      el('p', { class: 'note' }, `${number(move.keys)} of ${count(move.keys_total, 'key')}, ${bytes(move.bytes)} of ${bytes(move.bytes_total)} `, el('code', {}, `${arc.from.slice(0, 4)}…${arc.to.slice(0, 4)}`))));
  }
  showStop(recent.find((change) => change.state === 'running'));
  $('moves').hidden = rows.length === 0;
  say($('moving'), picture.moves.length > 0 || recent.some((change) => change.state === 'running') ? 'On the move' : 'Lately');
  $('moves').querySelector('ol').replaceChildren(...rows.slice(0, 8), ...(rows.length > 8 ? [el('li', { class: 'note' }, `and ${rows.length - 8} more`)] : []));
}

/** The button that stops what is under way. It stands beside the list, which is drawn anew while somebody presses it. */
function showStop(running) {
  const button = $('stop');
  if (!running && document.activeElement === button) $('moves').focus({ preventScroll: true });
  button.hidden = !running;
  if (!running) { say($('stop-said'), ''); return; }
  button.setAttribute('aria-label', `Stop ${called(running).replace(/^./, (letter) => letter.toLowerCase())}`);
}

let stopping = false;
async function stop() {
  // Not disabled meanwhile: whoever pressed it would lose the place.
  if (stopping) return;
  stopping = true;
  say($('stop-said'), '');
  try {
    await granted(await ask('/v1/ring/stop', { method: 'POST', headers: { 'content-type': 'application/json', ...JSON_TOO }, body: '{}' }));
    // It goes with the next picture, which shows what has stopped.
  } catch (why) {
    say($('stop-said'), inWords(why, 'The door did not answer: the list shows whether it goes on.'));
  }
  stopping = false;
}

/** What the keeper of this door did lately, the last of it first. */
function showKeeper() {
  const told = JSON.stringify(picture.keeper);
  $('kept').hidden = picture.keeper.length === 0;
  if ($('kept').dataset.told === told) return;
  $('kept').dataset.told = told;
  const at = (ms) => {
    const [day, time] = [new Date(ms), { hour: '2-digit', minute: '2-digit', second: '2-digit' }];
    return day.toDateString() === new Date().toDateString() ? day.toLocaleTimeString('en-GB', time) : day.toLocaleString('en-GB', { day: 'numeric', month: 'short', ...time });
  };
  $('kept').querySelector('ol').replaceChildren(...[...picture.keeper].reverse().slice(0, 5).map((deed) => {
    const said = el('span');
    spoken(said, deed.said[0].toUpperCase() + deed.said.slice(1));
    return el('li', {}, el('time', { datetime: new Date(deed.at_ms).toISOString() }, at(deed.at_ms)), said);
  }));
}

function showLoad() {
  const slots = 300;
  const padded = [...Array(slots - loads.length).fill(null), ...loads];
  const lately = loads.slice(-5);
  const rate = lately.reduce((sum, load) => sum + load.rate, 0) / Math.max(1, lately.length);
  say($('rate'), rate >= 10 || rate === 0 ? number(rate) : rate.toFixed(1));
  const last = loads.at(-1);
  say($('latency'), last?.p50_us ? `${took(last.p50_us)}, 99 % within ${took(last.p99_us)}` : '–');

  const height = 44;
  const most = Math.max(5, ...loads.map((load) => load.rate)) * 1.1;
  const flat = (value) => (height - 1 - (height - 3) * value).toFixed(1);
  const curve = (of, shut) => {
    const points = padded.map((load, n) => load && `${n} ${of(load)}`).filter(Boolean);
    const begin = slots - loads.length;
    return points.length < 2 ? '' : shut ? `M${begin} ${height}L${points.join('L')}L${slots - 1} ${height}Z` : `M${points.join('L')}`;
  };
  const rates = $('rates');
  rates.setAttribute('viewBox', `0 0 ${slots - 1} ${height}`);
  rates.replaceChildren(draw('path', { class: 'area', d: curve((load) => flat(load.rate / most), true) }), draw('path', { class: 'curve', d: curve((load) => flat(load.rate / most)) }),
    draw('path', { class: 'failed', d: loads.some((load) => load.failed > 0) ? curve((load) => (load.failed > 0 ? flat(load.failed / most) : height), true) : '' }));

  const latencies = $('latencies');
  const told = loads.flatMap((load) => (load.p50_us ? [load.p50_us, load.p99_us] : []));
  const [low, high] = [Math.log10(Math.max(100, Math.min(...told, 1000))), Math.log10(Math.max(...told, 10000))];
  const tall = (us) => flat((Math.log10(Math.max(us, 100)) - low + 0.1) / (high - low + 0.2));
  // Where nobody asked there is nothing to draw: one piece for each stretch in which somebody did.
  const stretches = [];
  padded.forEach((load, n) => {
    if (!load?.p50_us) return;
    if (stretches.at(-1)?.at(-1)?.[0] === n - 1) stretches.at(-1).push([n, load]); else stretches.push([[n, load]]);
  });
  const path = (points) => `M${points.map(([n, us]) => `${n} ${tall(us)}`).join('L')}`;
  const middle = stretches.map((s) => path(s.map(([n, load]) => [n, load.p50_us]))).join('');
  const above = stretches.map((s) => path(s.map(([n, load]) => [n, load.p99_us]))).join('');
  const between = stretches.map((s) => `${path([...s.map(([n, load]) => [n, load.p99_us]), ...[...s].reverse().map(([n, load]) => [n, load.p50_us])])}Z`).join('');
  latencies.setAttribute('viewBox', `0 0 ${slots - 1} ${height}`);
  latencies.replaceChildren(draw('path', { class: 'area', d: between }), draw('path', { class: 'curve far', d: above }), draw('path', { class: 'curve', d: middle }));
}

// ---- storages -------------------------------------------------------------------------------------------------------------

const rows = new Map();

function showStorages() {
  const body = $('rows');
  for (const [id, row] of rows) if (!byId(id)) { row.element.remove(); rows.delete(id); }
  picture.storages.forEach((storage, n) => {
    if (!rows.has(storage.id)) {
      const button = el('button', { type: 'button', class: 'plain name' }, el('span', { class: 'swatch' }), el('span', {}));
      button.onclick = () => choose(storage.id, true);
      const cell = (label, kind) => el('td', { role: 'cell', 'data-label': label, class: kind });
      const cells = [cell('State', 'health'), cell('Of the ring', 'figure'), cell('Keys', 'figure'), cell('Bytes', 'figure'), cell('Copies', 'figure'), cell('Answers in', 'figure'), cell('May stop', '')];
      rows.set(storage.id, { element: el('tr', { role: 'row', 'data-of': storage.id }, el('th', { scope: 'row', role: 'rowheader' }, button), ...cells), button, cells });
    }
    const { element, button, cells } = rows.get(storage.id);
    tint(button, storage);
    say(button.lastChild, storage.address);
    [storage.state, percent(storage.share), number(storage.keys), bytes(storage.bytes), `${storage.copies} of ${storage.copies_wanted}`, took(storage.us), isAway(storage) ? '–' : storage.may_stop ? 'yes' : 'no'].forEach((text, at) => say(cells[at], text));
    cells[4].classList.toggle('bad', storage.copies < storage.copies_wanted);
    element.className = `${PRESENT.includes(storage.state) ? '' : 'missing'} ${chosen === storage.id ? 'is-chosen' : ''}`;
    button.setAttribute('aria-pressed', String(chosen === storage.id));
    if (body.children[n] !== element) body.insertBefore(element, body.children[n] || null);
  });
}

function showChosen() {
  const storage = byId(chosen);
  // Whoever was in there goes on beside it.
  if (!storage && $('chosen').contains(document.activeElement)) $('storages').focus({ preventScroll: true });
  $('chosen').hidden = !storage;
  if (!storage) { chosen = null; return; }
  const n = picture.storages.indexOf(storage);
  const kept = picture.arcs.filter((arc) => arc.members.includes(n));
  tint($('chosen'), storage);
  say($('chosen-name'), storage.address);
  const facts = [
    ['State', storage.state === 'silent' ? 'silent' : storage.state === 'replaced' ? 'replaced: another storage is in its place' : `${storage.state}; ${storage.may_stop ? 'may be stopped' : 'must not be stopped'}`],
    ['Holds', storage.keys === null ? 'it does not say' : `${count(storage.keys, 'key')}, ${bytes(storage.bytes)}`],
    ['Arcs', `${count(kept.length, 'arc')}, one its own: ${percent(storage.share)} of the ring`],
    ['Answers in', took(storage.us)],
    ...(picture.storages.length > 1 ? [['Before it', picture.storages.at(n - 1).address], ['Behind it', picture.storages[(n + 1) % picture.storages.length].address]] : []),
    ...(storage.zone ? [['Zone', storage.zone]] : []),
    ['Id', storage.id],
  ];
  const list = $('chosen-facts');
  const told = JSON.stringify(facts);
  if (list.dataset.told !== told) {
    list.dataset.told = told;
    list.replaceChildren(...facts.map(([name, fact]) => el('div', {}, el('dt', {}, name), el('dd', {}, name === 'Id' ? el('code', {}, fact) : fact))));
  }
  $('chosen-page').href = `http://${storage.address}/`;
  $('chosen-page').hidden = isAway(storage);
  say($('remove'), isAway(storage) ? 'It never comes back…' : 'Remove…');
}

function choose(id, scroll) {
  chosen = chosen === id ? null : id;
  pin = null;
  showAll();
  if (chosen && scroll && matchMedia('(max-width: 1020px)').matches) $('chosen').scrollIntoView({ block: 'nearest' });
}

function point(id) {
  if (pointed === id) return;
  pointed = id;
  if (picture) showRing();
}

function showAll() {
  showSentence();
  showChosen();
  showRing();
  showMoves();
  showKeeper();
  tellTheEnd();
  showLoad();
  showStorages();
  watchTheClock();
}

// ---- plans ----------------------------------------------------------------------------------------------------------------

const granted = async (reply) => {
  if (!reply.ok) throw new Refused(await problem(reply));
  return reply;
};

let asking = 0;
/** Shows what is about to be done, once that is weighed; does it only when that was seen and agreed to. */
async function agree(words, weigh, act) {
  const mine = asking += 1;
  const [dialog, yes, no, said, note] = [$('plan'), $('plan-yes'), $('plan-no'), $('plan-said'), $('plan-note')];
  const isMine = () => mine === asking && dialog.open;
  say($('plan-name'), words.title);
  say(said, words.weighing);
  say(note, '');
  said.className = '';
  $('plan-rows').replaceChildren();
  yes.hidden = true;
  say(no, 'Not now');
  no.onclick = () => dialog.close();
  dialog.showModal();
  const fail = (why, silence) => {
    if (!isMine()) return;
    said.className = 'bad';
    say(said, inWords(why, silence));
    yes.hidden = true;
    say(no, 'Close');
    no.focus();
  };
  try {
    const weighed = await weigh();
    if (!isMine()) return;
    say(said, weighed.said);
    say(note, words.note);
    $('plan-rows').replaceChildren(...weighed.rows);
    say(yes, words.yes);
    yes.classList.toggle('gone', words.isForGood === true);
    yes.hidden = !weighed.isWorthIt;
    yes.disabled = false;
    yes.onclick = async () => {
      yes.disabled = true;
      try {
        await act(weighed);
        if (isMine()) dialog.close();
        await words.after?.();
      } catch (why) { fail(why, words.unknown); }
    };
    // What cannot be undone is not done by the same key twice.
    if (weighed.isWorthIt && !words.isForGood) yes.focus();
  } catch (why) { fail(why, 'The door does not answer.'); }
}

/** A change of the ring: what it would move, and then it. */
function plan(place, wish, words) {
  const post = async (more) => granted(await ask(place, { method: 'POST', headers: { 'content-type': 'application/json', ...JSON_TOO }, body: JSON.stringify({ ...wish, ...more }) }));
  const weigh = async () => {
    const planned = await (await post({ plan: true })).json();
    const of = planned.bytes_total ? ` (${percent(planned.bytes / planned.bytes_total)} of ${bytes(planned.bytes_total)})` : '';
    const to = new Map();
    for (const move of planned.moves) {
      const sum = to.get(move.to) || { keys: 0, bytes: 0, arcs: 0 };
      to.set(move.to, { keys: sum.keys + move.keys, bytes: sum.bytes + move.bytes, arcs: sum.arcs + 1 });
    }
    const said = planned.steps === 0 ? words.nothing ?? 'Nothing would be changed.'
      : planned.moves.length === 0 ? `Nothing would be copied; it takes ${count(planned.steps, 'step')}.`
        : `${count(planned.keys, 'key')} and ${bytes(planned.bytes)}${of} would be copied, in ${count(planned.steps, 'step')}.`;
    return {
      said,
      isWorthIt: planned.steps > 0 || words.nothing !== undefined,
      rows: [...to].map(([address, sum]) => el('tr', {}, el('th', { scope: 'row' }, address), el('td', {}, count(sum.arcs, 'arc')), el('td', { class: 'figure' }, count(sum.keys, 'key')), el('td', { class: 'figure' }, bytes(sum.bytes)))),
    };
  };
  const unknown = 'The door did not answer: the ring shows whether it has begun.';
  return agree({ weighing: 'Weighing what would move…', unknown, ...words }, weigh, () => post({}));
}

// ---- keys -------------------------------------------------------------------------------------------------------------------

const VERDICTS = { newest: 'the newest', alike: 'the same, renewed elsewhere', older: 'older, or nothing', absent: 'nothing' };

async function lookUp(key) {
  const [box, said] = [$('found'), $('found-said')];
  $('key').value = key;
  box.hidden = false;
  const nothing = (why) => {
    say(said, why);
    said.className = '';
    $('found-rows').replaceChildren();
    $('download').hidden = true;
    $('delete').hidden = true;
  };
  try {
    const reply = await ask(`${keyPlace('/v1/whereis', key)}?check=1`, { headers: JSON_TOO });
    if (!reply.ok) { nothing(await problem(reply)); return; }
    const told = await reply.json();
    const held = told.storages.filter((copy) => copy.bytes !== undefined);
    const there = held.length > told.storages.length / 2;
    const silent = told.storages.filter((copy) => typeof copy.verdict === 'object').length;
    const how = held.length === 0 ? 'It is not there' : told.agree ? `It is there, on all ${told.storages.length} of its storages` : `It is there, on ${held.length} of its ${told.storages.length} storages`;
    say(said, `${how}${silent ? `; ${count(silent, 'storage')} ${silent === 1 ? 'does' : 'do'} not say` : ''}. Its place is ${told.place}.`);
    said.className = told.agree ? '' : there ? 'warn' : held.length ? 'bad' : '';
    $('found-rows').replaceChildren(...told.storages.map((copy) => {
      const verdict = typeof copy.verdict === 'object' ? copy.verdict.silent : VERDICTS[copy.verdict];
      const storage = byId(copy.id);
      const swatch = el('span', { class: 'swatch' });
      if (storage) tint(swatch, storage);
      const cell = (label, text, kind) => el('td', { role: 'cell', 'data-label': label, class: kind }, text);
      return el('tr', { role: 'row' }, el('th', { scope: 'row', role: 'rowheader' }, swatch, copy.address), cell('Holds', verdict + (copy.expired ? ', expired' : '') + (copy.filling ? ', being filled' : ''), typeof copy.verdict === 'object' ? 'bad' : ''),
        cell('Bytes', copy.bytes === undefined ? '–' : number(copy.bytes), 'figure'), cell('Checksum', el('code', {}, copy.checksum || '–')), cell('Stamp', el('code', {}, copy.stamp || '–')));
    }));
    $('download').hidden = held.length === 0;
    $('download').onclick = () => download(key);
    $('delete').hidden = held.length === 0;
    $('delete').onclick = () => remove(key);
    pin = { place: told.place, key };
    chosen = null;
    if (picture) showAll();
  } catch (why) { nothing(inWords(why, 'The door does not answer.')); }
}

/** Saves a value. It never becomes a page of ours. */
async function download(key) {
  const link = el('a', { download: key.split('/').pop() || 'value' });
  const place = keyPlace('/v1/kv', key);
  if (!sessionStorage.getItem(TOKEN)) {
    link.href = place;
    link.click();
    return;
  }
  try {
    const reply = await granted(await ask(place, { headers: JSON_TOO }));
    link.href = URL.createObjectURL(new Blob([await reply.blob()], { type: 'application/octet-stream' }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  } catch (why) { say($('found-said'), inWords(why, 'The door did not answer to the end: nothing was saved.')); }
}

/** Deletes a key as it was seen; if somebody changes it meanwhile, it stays. */
function remove(key) {
  const place = keyPlace('/v1/kv', key);
  const weigh = async () => {
    const reply = await ask(place, { method: 'HEAD' });
    // An answer to HEAD has no words of its own.
    if (reply.status === 404) throw new Refused('It is not there any more.');
    if (!reply.ok) throw new Refused(`The door answers ${reply.status}: it is not known whether it is there.`);
    const [length, kind, set] = ['content-length', 'content-type', 'last-modified'].map((name) => reply.headers.get(name));
    const facts = [bytes(Number(length)), kind && `of ${kind}`, set && `set on ${new Date(set).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' })}`];
    return { said: `${facts.filter(Boolean).join(' ')}, in all its copies.`, isWorthIt: true, rows: [], tag: reply.headers.get('etag') };
  };
  const act = async ({ tag }) => {
    await granted(await ask(place, { method: 'DELETE', headers: { 'if-match': tag, ...JSON_TOO } }));
  };
  const after = async () => {
    // The button that was pressed is about to go.
    $('key').focus();
    for (const button of document.querySelectorAll('#list button')) if (button.textContent === visible(key)) button.parentElement.remove();
    await lookUp(key);
    say($('found-said'), `'${visible(key)}' is deleted.`);
  };
  return agree({
    title: `Delete ${visible(key)}`, weighing: 'Looking at it…', yes: 'Delete', isForGood: true, after,
    note: 'It cannot be brought back. If somebody changes it before you answer, it stays.',
    unknown: 'The door did not answer: look the key up to see whether it is there.',
  }, weigh, act);
}

const PAGE = 60;
let listing = { prefix: '', last: null };
let listings = 0;

/** Lists a page of keys. Only the newest wish is shown: a page asked for twice would be listed twice. */
async function list(prefix, after) {
  const mine = listings += 1;
  const query = new URLSearchParams({ prefix, limit: PAGE });
  if (after !== null) query.set('after', after);
  try {
    const reply = await ask(`/v1/kv?${query}`, { headers: JSON_TOO });
    const text = await (reply.ok ? reply.text() : problem(reply));
    if (mine !== listings) return;
    if (!reply.ok) { say($('listed'), text); return; }
    const keys = text.split('\n').filter(Boolean).map((line) => JSON.parse(line).key);
    if (after === null) $('list').replaceChildren();
    $('list').append(...keys.map((key) => {
      const button = el('button', { type: 'button', class: 'plain key' }, visible(key));
      button.onclick = () => { lookUp(key); $('find').scrollIntoView({ block: 'nearest' }); };
      return el('li', {}, button);
    }));
    listing = { prefix, last: keys.at(-1) ?? null };
    $('more').hidden = keys.length < PAGE;
    const shownNow = $('list').children.length;
    say($('listed'), shownNow === 0 ? (prefix ? 'No key begins so.' : 'There are no keys yet.') : `${count(shownNow, 'key')}${$('more').hidden ? '' : ', and there are more'}, in the order of the ring`);
  } catch (why) { if (mine === listings) say($('listed'), inWords(why, 'The door does not answer.')); }
}

async function upload() {
  const file = $('file').files[0];
  if (!file) return;
  const key = $('under').value || file.name;
  say($('uploaded'), `Storing '${visible(key)}', ${bytes(file.size)}…`);
  try {
    // A content type that no page of another site could send.
    const reply = await ask(keyPlace('/v1/kv', key), { method: 'PUT', headers: { 'content-type': file.type || 'application/octet-stream', ...JSON_TOO }, body: file });
    say($('uploaded'), reply.ok ? `'${visible(key)}' is stored, ${bytes(file.size)}${reply.status === 204 ? '; it took the place of another value' : ''}.` : await problem(reply));
    if (reply.ok) lookUp(key);
  } catch (why) { say($('uploaded'), inWords(why, 'The door did not answer to the end: look the key up before you upload it again.')); }
}

// ---- hands ------------------------------------------------------------------------------------------------------------------

const form = (id, act) => $(id).addEventListener('submit', (event) => { event.preventDefault(); act(); });
const joining = (address) => ({ title: `Join ${address}`, yes: 'Join', note: 'Everything is served meanwhile.' });
const removing = (address) => ({ title: `Remove ${address}`, yes: 'Remove', note: 'All it keeps is handed over first, and it serves meanwhile.' });
const copying = (copies) => ({
  title: `Keep ${copiesOf(copies)}`, yes: 'Change',
  note: copies > picture.storages.length ? `There are ${number(picture.storages.length)} storages: the further copies come as others join.`
    : copies === 1 ? 'What has one copy is lost with the storage that keeps it.'
      : copies === 2 ? 'What has two copies is not served while one of them is away.'
        : `So many survive the loss of ${copies < 5 ? 'one storage' : copies < 7 ? 'two storages' : 'three storages'}. Everything is served meanwhile.`,
});
const burying = (address) => ({ title: `Remove ${address}, which never comes back`, yes: 'Remove', note: 'What it kept is copied from those who keep it too. If it is started again later, it does not belong to the ring any more.' });

form('join', () => { const address = $('joiner').value.trim(); if (address) plan('/v1/ring/join', { address }, joining(address)); });
form('copying', () => { const copies = Number($('copies-wanted').value); plan('/v1/ring/copies', { copies }, copying(copies)); });
form('look', () => lookUp($('key').value));
form('browse', () => list($('prefix').value, null));
form('upload', upload);
$('balance').onclick = () => plan('/v1/ring/balance', {}, { title: 'Balance', yes: 'Balance', note: 'Boundaries are moved until nobody keeps more than 1.2 times its share. Everything is served meanwhile.' });
$('repair').onclick = () => plan('/v1/ring/repair', {}, {
  title: 'Repair', yes: 'Repair', nothing: 'Nothing is half done.',
  note: 'All copies are compared and made alike, the newest wins; then deleted keys and what broken uploads left behind are swept. Everything is served meanwhile.',
});
$('stop').onclick = stop;
$('unlock').onclick = () => unlock('').catch(() => { /* The button is there again. */ });
$('more').onclick = () => list(listing.prefix, listing.last);
$('unchoose').onclick = () => { const id = chosen; choose(chosen); rows.get(id)?.button.focus(); };
$('remove').onclick = () => {
  const storage = byId(chosen);
  if (!storage) return;
  const dead = isAway(storage);
  plan('/v1/ring/remove', { address: storage.address, dead }, dead ? burying(storage.address) : removing(storage.address));
};

const svg = $('ring');
const of = (event) => event.target.closest?.('[data-of]');
svg.addEventListener('click', (event) => { const at = of(event); if (at) choose(at.dataset.of, false); });
svg.addEventListener('pointermove', (event) => {
  const at = of(event);
  if (event.pointerType === 'mouse') point(at ? at.dataset.of : null);
  const tip = $('tip');
  const arc = at?.dataset.arc && picture?.arcs[at.dataset.arc];
  tip.hidden = !arc;
  if (!arc) return;
  say(tip, `${arc.from.slice(0, 8)}… to ${arc.to.slice(0, 8)}…, epoch ${arc.epoch}\n${arc.members.map((n) => short(picture.storages[n].address)).join('  ')}\n${arc.keys === null ? '' : `${count(arc.keys, 'key')}, ${bytes(arc.bytes)}`}`);
  tip.style.left = `${Math.min(event.clientX + 14, innerWidth - 250)}px`;
  tip.style.top = `${event.clientY + 16}px`;
});
svg.addEventListener('pointerleave', () => { point(null); $('tip').hidden = true; });
svg.addEventListener('keydown', (event) => {
  const at = event.target.dataset?.storage;
  if (!at) return;
  const labels = [...svg.querySelectorAll('[data-storage]')];
  const here = labels.findIndex((label) => label.dataset.storage === at);
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (event.key === 'Enter' || event.key === ' ') choose(at, false);
  else if (step) labels[(here + step + labels.length) % labels.length].focus();
  else if (event.key === 'Escape' && chosen) choose(chosen, false);
  else return;
  event.preventDefault();
});
document.addEventListener('keydown', (event) => {
  if (event.key === '/' && !/^(INPUT|TEXTAREA)$/.test(document.activeElement?.tagName) && !document.querySelector('dialog[open]')) {
    event.preventDefault();
    $('key').focus();
  }
  if (event.key === 'Escape' && pin && !document.querySelector('dialog[open]')) { pin = null; if (picture) showAll(); }
});
new ResizeObserver(() => { if (picture) showRing(); }).observe($('figure'));
setInterval(watchTheClock, 1000);
listen();
