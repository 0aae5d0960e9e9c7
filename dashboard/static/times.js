// Times are sent in UTC and read in the reader's own zone.
export function localTimes(root) {
  const language = document.documentElement.lang;
  for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const value = new Date(time.dateTime);
    if (Number.isNaN(value.getTime())) continue;
    const form = time.dataset.show === "clock" ? { timeStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" };
    time.title = time.textContent;
    time.textContent = new Intl.DateTimeFormat(language, form).format(value);
    time.dataset.local = "";
  }
}
