// Says the next step aloud in the page's language, for hands and eyes that are at the paper. What was being said gives
// way to what holds now. A machine that has voices, but none of this language, says nothing: nobody understands Chinese
// read by an English voice.
const REGION = { zh: "zh-cn" };

export function say(words) {
  const engine = window.speechSynthesis;
  if (!engine) return;
  engine.cancel();
  if (!words) return;
  const language = document.documentElement.lang;
  const voices = engine.getVoices();
  const tag = (voice) => voice.lang.toLowerCase().replace("_", "-");
  const voice = voices.find((one) => tag(one) === REGION[language]) ?? voices.find((one) => tag(one).startsWith(language));
  if (voices.length && !voice) return;
  const said = new SpeechSynthesisUtterance(words);
  said.lang = voice?.lang ?? REGION[language] ?? language;
  if (voice) said.voice = voice;
  engine.speak(said);
}
