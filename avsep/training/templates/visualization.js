"use strict";
const { shown, curves } = JSON.parse(document.getElementById("data").textContent);
const slider = document.querySelector("input[type=range]");
const all = (what) => document.querySelectorAll(what);

function show(position) {
  const { epoch, folder, mixtures } = shown[position];
  slider.value = position;
  slider.setAttribute("aria-valuetext", `epoch ${epoch}`);
  document.querySelector("output").textContent = `epoch ${epoch}`;
  for (const [step, end] of [[-1, 0], [1, shown.length - 1]]) {
    document.querySelector(`[data-step="${step}"]`).disabled = position === end;
  }
  for (const element of all("[data-file]")) {
    const source = `epochs/${folder}/${element.dataset.file}`;
    if (element.getAttribute("src") === source) continue;
    const plays = element.paused === false, at = element.currentTime;
    element.src = source;
    if (plays) {  // on, as it was learned there
      element.currentTime = at;
      element.play();
    }
  }
  for (const element of all("[data-said]")) {
    const [mixture, name, sound] = element.dataset.said.split(" ");
    const probability = mixtures[mixture][name].probability[sound], taken = probability >= 0.5;
    element.style.setProperty("--share", `${100 * probability}%`);
    element.querySelector(".percent").textContent = `${Math.round(100 * probability)} %`;
    element.querySelector(".verdict").textContent = taken ? "sounds" : "silent";
    element.classList.toggle("right", String(taken) === element.dataset.sounds);
    element.classList.toggle("wrong", String(taken) !== element.dataset.sounds);
  }
  for (const element of all("[data-score]")) {
    const [mixture, name, way] = element.dataset.score.split(" ");
    const score = mixtures[mixture][name].ways[way];
    element.textContent = `${score < 0 ? "" : "+"}${score.toFixed(1)} dB`;
  }
  for (const element of all("[data-curve]")) {
    const value = curves[element.dataset.curve][epoch - 1];
    element.textContent = value == null ? "–" : Number(value.toPrecision(3));
  }
  for (const line of all(".at")) {
    const at = 100 * epoch / curves[0].length;
    line.setAttribute("x1", at);
    line.setAttribute("x2", at);
  }
}

slider.addEventListener("input", () => show(Number(slider.value)));
for (const button of all("[data-step]")) {
  button.addEventListener("click", () => {
    const position = Number(slider.value) + Number(button.dataset.step);
    show(Math.min(Math.max(position, 0), shown.length - 1));
  });
}
document.addEventListener("play", ({ target }) => {  // one sound at a time
  for (const element of all("audio, video")) if (element !== target) element.pause();
}, true);
show(shown.length - 1);
