// One of a few, side by side; a press on one says which.

interface Props<T extends string> {
  name: string;
  value: T;
  choices: readonly { value: T; title: string }[];
  onChange: (value: T) => void;
}

export function Choice<T extends string>({ name, value, choices, onChange }: Props<T>) {
  return (
    <span class="choice" role="group" aria-label={name}>
      {choices.map((one) => (
        <button type="button" aria-pressed={one.value === value} onClick={() => onChange(one.value)}>
          {one.title}
        </button>
      ))}
    </span>
  );
}
