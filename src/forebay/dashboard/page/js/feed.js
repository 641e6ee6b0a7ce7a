// Brings what the node tells: a stream while this page can be seen; where there are too many
// streams, answers now and then.

const SILENCE_MS = 6000;
const POLL_MS = 8000;
const RETRY_MS = 2000;
const LONGEST_RETRY_MS = 15000;

export class Feed {
  /** `show(message)` is called with each message, `tell(state)` with "live", "slow" or "lost". */
  constructor(show, tell) {
    this.show = show;
    this.tell = tell;
    this.proxy = "";
    this.source = null;
    this.timer = 0;
    this.failures = 0;
    document.addEventListener("visibilitychange", () => this.restart());
  }

  /** Looks at this proxy from now on. */
  look(proxy) {
    this.proxy = proxy;
    this.restart();
  }

  restart() {
    this.stop();
    // Browsers open six connections to one host: pages that nobody sees let go of theirs.
    if (!document.hidden) this.listen();
  }

  stop() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.timer);
  }

  query() {
    return this.proxy ? `?proxy=${encodeURIComponent(this.proxy)}` : "";
  }

  listen() {
    const source = new EventSource(`api/live${this.query()}`);
    this.source = source;
    this.wait(SILENCE_MS);
    source.onmessage = (event) => {
      this.failures = 0;
      this.tell("live");
      this.wait(SILENCE_MS);
      this.show(JSON.parse(event.data));
    };
    source.onerror = () => {
      // The browser does not say why: an answer that is no stream does.
      source.close();
      if (this.source === source) this.ask();
    };
  }

  /** Tries again if nothing comes. */
  wait(time) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.stop();
      this.ask();
    }, time);
  }

  async ask() {
    clearTimeout(this.timer);
    const asked = this.proxy;
    let message = null;
    try {
      const answer = await fetch(`api/now${this.query()}`, { signal: AbortSignal.timeout(SILENCE_MS) });
      if (answer.status === 401) {
        location.assign("login");
        return;
      }
      if (answer.status === 404) this.proxy = ""; // it has gone: look at the first one
      if (answer.ok) message = await answer.json();
    } catch {
      // Whatever it was, it is tried again.
    }
    if (document.hidden || asked !== this.proxy) {
      if (!document.hidden) this.restart();
      return;
    }
    if (message === null) {
      this.failures += 1;
      this.tell("lost");
      const longest = Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** Math.min(this.failures - 1, 3));
      this.again(longest * (0.5 + Math.random() / 2), () => this.ask());
      return;
    }
    this.show(message);
    if (this.failures > 0) {
      this.failures = 0;
      this.restart();
      return;
    }
    this.tell("slow");
    this.failures = 0;
    this.again(POLL_MS * (0.75 + Math.random() / 2), () => this.poll());
  }

  /** There was no room for a stream: perhaps there is now. */
  poll() {
    this.restart();
  }

  again(time, then) {
    clearTimeout(this.timer);
    this.timer = setTimeout(then, time);
  }
}
