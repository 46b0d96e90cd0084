// The language of Find and Hide, a small part of Kiali's: `reviews`, `%error > 5`, `rate > 0 and healthy`, `!idle or tcp`.
// Terms are joined by `and` (or nothing) and `or`; `or` binds tighter, and there are no parentheses.

export interface Facts {
  /** What a plain word is looked for in. */
  text: string;
  name: string;
  service: string;
  version: string;
  protocol: string;
  /** Requests a second. */
  rate: number;
  /** Per cent of them that failed. */
  error: number;
  /** Milliseconds; NaN where nobody knows. */
  p50: number;
  p99: number;
  /** `healthy`, `idle`, `external` and the like. */
  words: Set<string>;
}

export type Test = (facts: Facts) => boolean;

const NUMBERS: Record<string, (facts: Facts) => number> = {
  rate: (facts) => facts.rate,
  "%error": (facts) => facts.error,
  error: (facts) => facts.error,
  p50: (facts) => facts.p50,
  p99: (facts) => facts.p99,
};
const TEXTS: Record<string, (facts: Facts) => string> = {
  name: (facts) => facts.name,
  service: (facts) => facts.service,
  version: (facts) => facts.version,
  protocol: (facts) => facts.protocol,
};
export const WORDS = ["healthy", "degraded", "failing", "idle", "service", "gateway", "external", "unknown", "http", "grpc", "tcp"];

const COMPARE: Record<string, (left: number, right: number) => boolean> = {
  ">": (left, right) => left > right,
  ">=": (left, right) => left >= right,
  "<": (left, right) => left < right,
  "<=": (left, right) => left <= right,
  "=": (left, right) => left === right,
  "!=": (left, right) => left !== right,
};
const LIKEN: Record<string, (left: string, right: string) => boolean> = {
  "=": (left, right) => left === right,
  "!=": (left, right) => left !== right,
  "*=": (left, right) => left.includes(right),
  "^=": (left, right) => left.startsWith(right),
  "$=": (left, right) => left.endsWith(right),
};

/** A test of the expression, or the sentence that says what is wrong with it; null for an empty one. */
export function parse(text: string): Test | string | null {
  const said = text.trim().toLowerCase();
  if (!said) return null;
  const tests: Test[][] = [];
  let joined = false;
  // An operator belongs to the words on both its sides, with blanks around it or without.
  for (const token of said.replace(/\s*([><!*^$]?=|[><])\s*/g, "$1").split(/\s+/)) {
    if (token === "and") continue;
    if (token === "or") {
      if (!tests.length) return "“or” wants something before it.";
      joined = true;
      continue;
    }
    const test = term(token);
    if (typeof test === "string") return test;
    if (joined) tests.at(-1)!.push(test);
    else tests.push([test]);
    joined = false;
  }
  if (joined) return "“or” wants something after it.";
  return (facts) => tests.every((any) => any.some((test) => test(facts)));
}

function term(token: string): Test | string {
  const [, left = "", operator = "", right = ""] = /^([^><=*^$]*?)(>=|<=|!=|\*=|\^=|\$=|>|<|=)(.*)$/.exec(token) ?? [];
  if (operator) {
    const number = NUMBERS[left];
    if (number) {
      const wanted = Number(right.replace(/(ms|%)$/, ""));
      const compare = COMPARE[operator];
      if (!compare || right === "" || Number.isNaN(wanted)) return `${left} wants a number, such as ${left} > 5.`;
      return (facts) => compare(number(facts), wanted);
    }
    const part = TEXTS[left];
    if (!part) return `Nothing is named “${left}”: say ${[...Object.keys(TEXTS), "rate", "%error", "p50", "p99"].join(", ")}.`;
    const liken = LIKEN[operator];
    if (!liken || right === "") return `${left} wants a name, such as ${left} = reviews.`;
    return (facts) => liken(part(facts).toLowerCase(), right);
  }
  const negated = token.startsWith("!");
  const word = negated ? token.slice(1) : token;
  const test: Test = WORDS.includes(word) ? (facts) => facts.words.has(word) : (facts) => facts.text.toLowerCase().includes(word);
  return negated ? (facts) => !test(facts) : test;
}
