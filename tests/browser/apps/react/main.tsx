import { StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import type { BreakingTickerAttributes, BreakingTickerListeners } from "../ticker";

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "breaking-ticker": React.DetailedHTMLProps<React.HTMLAttributes<HTMLElement>, HTMLElement> &
        BreakingTickerAttributes &
        BreakingTickerListeners;
    }
  }
}

window.heard = [];
const count = (text?: string) => window.heard.push(text);

const listeners: BreakingTickerListeners = {
  "onticker:line": (event) => count(event.detail.line.text),
  "onticker:open": (event) => {
    event.preventDefault();
    count(event.detail.line.url ?? "");
  },
};

function App() {
  const [edition, setEdition] = useState("en");
  const [shown, setShown] = useState(true);
  const [closable, setClosable] = useState(false);
  useEffect(() => {
    import("https://ticker.example/ticker.js");
  }, []);
  return (
    <>
      <button onClick={() => setEdition(edition === "en" ? "ar" : "en")}>Edition</button>
      <button onClick={() => setShown(!shown)}>Banner</button>
      <button onClick={() => setClosable(!closable)}>Closable</button>
      {shown && <breaking-ticker channel={edition} mode="list" dismissible={closable} {...listeners} />}
    </>
  );
}

createRoot(document.querySelector("#app")!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
