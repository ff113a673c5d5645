"use strict";
/* Players that switch without a gap: all sounds of a player play at once, and all but one are muted. Sounds are loaded
   when a player is started for the first time. Sorting, filtering, links and keys. Nothing is asked of a network. */
(() => {
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const by = (id) => document.getElementById(id);
const CLOSE = 0.012, FAR = 0.15; // seconds: what is close enough, and from where on a sound is set anew

class Deck {
  constructor(element) {
    this.element = element;
    this.seconds = Number(element.dataset.seconds);
    this.play = element.querySelector(".play");
    this.slider = element.querySelector(".seek");
    this.time = element.querySelector(".time");
    this.sounds = all(".sound", element).map((box) => ({
      box, kind: box.dataset.kind, system: box.dataset.system || "", button: box.querySelector(".choose"),
      audio: box.querySelector("audio"), drawn: box.querySelector(".drawn"), cursor: box.querySelector(".cursor"),
    }));
    this.chosen = 0;
    this.playing = false;
    this.at = 0; // seconds, while it does not play
    this.turn = 0; // of starts: one that was overtaken gives up
    this.play.addEventListener("click", () => (this.playing ? this.pause() : this.start()));
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
    this.sounds.forEach((sound, place) => {
      sound.button.addEventListener("click", () => this.choose(place, true));
      sound.audio.addEventListener("ended", () => { if (place === this.chosen && this.playing) this.end(); });
      sound.audio.addEventListener("error", () => { if (this.playing) this.missing(); });
      if (sound.drawn) sound.drawn.addEventListener("click", (event) => {
        const frame = sound.drawn.getBoundingClientRect();
        this.seek((this.seconds * (event.clientX - frame.left)) / frame.width);
        this.choose(place, true);
      });
    });
  }
  get clock() { return this.sounds[this.chosen].audio; }
  get now() { return this.playing && this.clock.readyState ? this.clock.currentTime : this.at; }
  visible(place) { return !this.sounds[place].box.hidden; }

  async start() {
    const before = current;
    if (before !== this && before.playing) {
      if (before.element.closest(".mixture, .scene") === this.element.closest(".mixture, .scene")) this.at = before.now;
    }
    current = this;
    this.playing = true;
    const turn = ++this.turn;
    this.show();
    const media = this.sounds.map((sound) => sound.audio);
    media.forEach((audio, place) => { audio.muted = place !== this.chosen; });
    await Promise.race([Promise.all(media.map(ready)), new Promise((done) => setTimeout(done, 2000))]);
    if (turn !== this.turn || !this.playing) return;
    if (this.at >= this.seconds - 0.05) this.at = 0;
    media.forEach((audio) => { audio.playbackRate = 1; if (audio.readyState) audio.currentTime = this.at; });
    const started = await Promise.allSettled(media.map((audio) => audio.play()));
    if (before !== this) before.release(); // it has sounded until now
    if (turn !== this.turn) return;
    if (started[this.chosen].status === "rejected" && started[this.chosen].reason.name !== "AbortError") this.pause();
  }
  pause() {
    this.at = this.now;
    this.playing = false;
    this.turn++;
    this.sounds.forEach((sound) => sound.audio.pause());
    this.show();
  }
  release() { // lets go of what was loaded: browsers keep few players
    this.pause();
    this.at = 0;
    for (const {audio} of this.sounds) {
      const from = audio.getAttribute("src");
      audio.removeAttribute("src");
      audio.load();
      audio.preload = "none";
      audio.setAttribute("src", from);
    }
    this.show();
  }
  end() {
    if (!by("repeat") || !by("repeat").checked) { this.pause(); this.at = 0; this.show(); return; }
    for (const {audio} of this.sounds) { audio.currentTime = 0; audio.playbackRate = 1; audio.play().catch(() => {}); }
  }
  seek(seconds) {
    this.at = Math.min(Math.max(0, seconds), this.seconds);
    if (this.playing) this.sounds.forEach(({audio}) => { if (audio.readyState) audio.currentTime = this.at; });
    this.show();
  }
  choose(place, start) {
    this.chosen = place;
    if (this.playing) this.sounds.forEach(({audio}, number) => { audio.muted = number !== place; });
    this.show();
    if (start && !this.playing) this.start();
  }
  step(by_) { // to the sound before or after
    const shown = this.sounds.map((_, place) => place).filter((place) => this.visible(place));
    const at = shown.indexOf(this.chosen);
    this.choose(shown[(at + by_ + shown.length) % shown.length], false);
    this.sounds[this.chosen].box.scrollIntoView({block: "nearest"});
  }
  kind(name) {
    const place = this.sounds.findIndex((sound) => sound.kind === name);
    if (place >= 0) this.choose(place, true);
  }
  follow() { // keeps the muted ones with the one that is heard
    const clock = this.clock;
    for (const {audio} of this.sounds) {
      if (audio === clock || audio.ended || !audio.readyState) continue;
      const late = clock.currentTime - audio.currentTime;
      if (Math.abs(late) > FAR) { audio.currentTime = clock.currentTime; audio.playbackRate = 1; }
      else audio.playbackRate = Math.abs(late) > CLOSE ? 1 + Math.max(-0.1, Math.min(0.1, late)) : 1;
      if (audio.paused && !clock.paused) audio.play().catch(() => {});
    }
    clock.playbackRate = 1;
  }
  missing() {
    this.pause();
    this.time.textContent = "no sound: keep the folder “sounds” beside the page";
  }
  show() {
    this.play.textContent = this.playing ? "Pause" : "Play";
    this.element.classList.toggle("playing", this.playing);
    this.sounds.forEach((sound, place) => {
      sound.button.setAttribute("aria-pressed", place === this.chosen);
      sound.box.classList.toggle("chosen", place === this.chosen);
    });
    this.draw();
  }
  draw() {
    const now = this.now, active = this.playing || this.at > 0;
    this.slider.value = now;
    this.time.textContent = `${now.toFixed(1)} of ${this.seconds.toFixed(1)} s`;
    for (const {cursor} of this.sounds) {
      if (!cursor) continue;
      cursor.hidden = !active;
      cursor.style.left = `${(100 * now) / this.seconds}%`;
    }
  }
}
function ready(audio) {
  if (audio.readyState >= 3) return Promise.resolve();
  return new Promise((done) => {
    for (const name of ["canplay", "error"]) audio.addEventListener(name, done, {once: true});
    audio.preload = "auto";
    audio.load();
  });
}

const decks = new Map(all(".deck").map((element) => [element, new Deck(element)]));
let current = decks.values().next().value;
if (!current) return;
setInterval(() => { if (current.playing) current.follow(); }, 100);
(function frame() { if (current.playing) current.draw(); requestAnimationFrame(frame); })();
for (const [element, deck] of decks) {
  element.addEventListener("focusin", () => { if (!current.playing) current = deck; });
}

// --- The mixtures: filter, sort, pictures
const mixtures = all(".mixture").map((element, place) => ({
  element, place, classes: JSON.parse(element.dataset.classes), nsdr: JSON.parse(element.dataset.nsdr),
  level: element.querySelector(".level"),
}));
function level(mixture, system) {
  if (system) return system in mixture.nsdr ? mixture.nsdr[system] : null;
  const values = Object.values(mixture.nsdr);
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
}
const written = (value) => `${value >= 0.05 ? "+" : ""}${value.toFixed(1)}`.replace("-", "\u2212").replace("\u22120.0", "0.0");
function list() {
  if (!mixtures.length) return;
  const [category, system, order] = ["by-class", "by-system", "by-order"].map((id) => by(id).value);
  const limit = by("by-nsdr").value === "" ? Infinity : Number(by("by-nsdr").value);
  let shown = 0;
  for (const mixture of mixtures) {
    const value = level(mixture, system);
    mixture.value = value;
    mixture.level.textContent = value === null ? "" : `NSDR ${written(value)} dB`;
    const fits = (!category || mixture.classes.includes(category)) && (limit === Infinity || (value !== null && value < limit));
    mixture.element.hidden = !fits;
    shown += fits;
    for (const box of all(".sound", mixture.element)) {
      box.hidden = Boolean(system && box.dataset.system && box.dataset.system !== system);
    }
    for (const heading of all(".heading", mixture.element)) {
      let next = heading.nextElementSibling, some = false;
      while (next && next.classList.contains("sound")) { some = some || !next.hidden; next = next.nextElementSibling; }
      heading.hidden = !some;
    }
    for (const element of all(".deck", mixture.element)) {
      const deck = decks.get(element);
      if (!deck.visible(deck.chosen)) deck.choose(0, false);
      if (!fits && deck.playing) deck.pause();
    }
  }
  const sign = {worst: 1, best: -1}[order];
  const sorted = [...mixtures].sort((a, b) => (sign ? sign * ((a.value ?? Infinity * sign) - (b.value ?? Infinity * sign)) : 0) || a.place - b.place);
  by("listed").append(...sorted.map((mixture) => mixture.element));
  by("shown").textContent = `${shown} of ${mixtures.length} shown`;
}
for (const id of ["by-class", "by-system", "by-nsdr", "by-order"]) if (by(id)) by(id).addEventListener("input", list);
if (by("by-picture")) {
  const pictures = () => { document.body.dataset.picture = by("by-picture").value; };
  by("by-picture").addEventListener("input", pictures);
  pictures();
}
list();

// --- Links: what is closed opens, what is filtered out comes back
function arrive() {
  const target = location.hash.length > 1 && by(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  const mixture = target.closest(".mixture");
  if (mixture && mixture.hidden) {
    for (const id of ["by-class", "by-system", "by-nsdr"]) by(id).value = "";
    list();
  }
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  target.scrollIntoView();
}
addEventListener("hashchange", arrive);
all("a.anchor").forEach((link) => link.addEventListener("click", (event) => event.stopPropagation()));
arrive();

// --- The boxes of scenes: what is found there, else what it truly plays
for (const mark of all(".mark")) {
  mark.addEventListener("click", (event) => {
    event.preventDefault();
    const own = by(mark.dataset.source), deck = decks.get(own.closest(".deck"));
    const place = deck.sounds.findIndex((sound) => own.contains(sound.box));
    if (place >= 0) deck.choose(place, true);
  });
}

// --- Keys
function next(by_) {
  const shown = all(".mixture").filter((element) => !element.hidden);
  if (!shown.length) return;
  const own = shown.indexOf(current.element.closest(".mixture"));
  const to = shown[own < 0 ? 0 : (own + by_ + shown.length) % shown.length];
  to.open = true;
  to.scrollIntoView();
  const deck = decks.get(to.querySelector(".deck"));
  if (current.playing) deck.start(); else current = deck;
  to.querySelector("summary").focus({preventScroll: true});
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const tag = event.target.tagName;
  if (tag === "SELECT" || (tag === "INPUT" && event.target.type !== "checkbox" && event.target.type !== "range")) return;
  const key = event.key.toLowerCase(), digit = /^[1-9]$/.test(key);
  if (key === " ") { if (["BUTTON", "SUMMARY", "A"].includes(tag) || event.target.type === "checkbox") return; current.playing ? current.pause() : current.start(); }
  else if (digit && current.sounds[key - 1] && current.visible(key - 1)) current.choose(key - 1, true);
  else if (key === "m") current.kind("mixture");
  else if (key === "r") current.kind("reference");
  else if (key === "arrowright" && tag !== "INPUT") current.step(1);
  else if (key === "arrowleft" && tag !== "INPUT") current.step(-1);
  else if (key === "n") next(1);
  else if (key === "p") next(-1);
  else if (key === "l" && by("repeat")) by("repeat").checked = !by("repeat").checked;
  else return;
  event.preventDefault();
});
})();
