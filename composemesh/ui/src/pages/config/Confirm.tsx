// A question before something that takes away.

import { useEffect, useRef } from "preact/hooks";

interface Props {
  title: string;
  text: string;
  action: string;
  onYes: () => void;
  onNo: () => void;
}

export function Confirm({ title, text, action, onYes, onNo }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog class="confirm" ref={dialog} onClose={onNo} onCancel={onNo}>
      <h2>{title}</h2>
      <p>{text}</p>
      <div class="confirm-actions">
        <button onClick={onNo}>Cancel</button>
        <button class="danger" onClick={onYes} autoFocus>
          {action}
        </button>
      </div>
    </dialog>
  );
}
