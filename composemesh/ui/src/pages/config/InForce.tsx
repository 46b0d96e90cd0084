// What was just done, and the way back while it is fresh.

import { useState } from "preact/hooks";
import { token } from "../../token";
import { told, undo, type Change, type Step } from "./resources";

export interface Done {
  text: string;
  /** What takes it back; null where nothing does. */
  step: Step | null;
}

interface Props {
  done: Done;
  onUndone: (change: Change) => Promise<void>;
  onClose: () => void;
}

export function InForce({ done, onUndone, onClose }: Props) {
  const [failure, setFailure] = useState("");
  const [busy, setBusy] = useState(false);
  const back = async () => {
    setBusy(true);
    try {
      const change = await undo(done.step!);
      if (change.accepted) await onUndone(change);
      else setFailure(change.problems[0]?.message ?? "It can't be taken back.");
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <p class={`config-banner ${failure ? "is-bad" : "is-good"}`} role="status">
      <span>{failure || done.text}</span>
      {done.step && token.value ? (
        <button onClick={back} disabled={busy}>
          Undo
        </button>
      ) : null}
      <button class="quiet" onClick={onClose}>
        Close
      </button>
    </p>
  );
}

/** In words, for the banner. */
export function inForce(change: Change): string {
  return `In force: ${told(change)}.`;
}
