// What stands where there is nothing to show: why, and what to do about it.

import type { ComponentChildren } from "preact";
import { Icon, type IconName } from "./Icon";

interface Props {
  title: string;
  text?: ComponentChildren;
  icon?: IconName;
  children?: ComponentChildren;
}

export function Empty({ title, text, icon, children }: Props) {
  return (
    <div class="empty">
      {icon ? <Icon name={icon} size={28} /> : null}
      <h2>{title}</h2>
      {text ? <p>{text}</p> : null}
      {children}
    </div>
  );
}
