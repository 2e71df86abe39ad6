/** What people type at first who know other tools, and what it is here. @module */

const HINTS: readonly (readonly [RegExp, string])[] = [
  [
    /unknown option '--(model|ckpt|checkpoint-path|models)'/,
    "Models are named in an ensemble file, --ensemble castles.toml, or served by `tutti worker --model FILE`",
  ],
  [
    /too many arguments for '(?:sample|submit)'/,
    'A prompt of several words is quoted: "a castle at dawn"',
  ],
];

/** @param message of the command line's parser, which ends a line; an error gets the hint on a line of its own */
export function withHint(message: string): string {
  const hint = HINTS.find(([pattern]) => pattern.test(message))?.[1];
  return hint === undefined ? message : `${message.trimEnd()}\n(${hint})\n`;
}
