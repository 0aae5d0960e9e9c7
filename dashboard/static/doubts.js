// A keeper waits for an answer: a number in the tab's title and two short tones when it grows.
export function followDoubts() {
  let known = 0;
  const title = document.title;
  const look = () => {
    const badge = document.getElementById("doubts");
    const count = Number(badge?.dataset.doubts ?? 0);
    document.title = count ? `(${count}) ${badge.dataset.text}` : title;
    if (count > known) sound();
    known = count;
  };
  look();
  new MutationObserver(look).observe(document.querySelector("header.top"), { childList: true, subtree: true });
}

function sound() {
  const audio = new AudioContext();
  if (audio.state !== "running") return void audio.close(); // browsers keep a page silent until it is touched
  for (const [at, pitch] of [[0, 660], [0.22, 880]]) {
    const tone = audio.createOscillator();
    const loud = audio.createGain();
    tone.frequency.value = pitch;
    loud.gain.value = 0.15;
    tone.connect(loud).connect(audio.destination);
    tone.start(audio.currentTime + at);
    tone.stop(audio.currentTime + at + 0.16);
    tone.onended = at ? () => audio.close() : null;
  }
}
