/**
 * The world of the bundled models (`shared/zoo/README.md`): pictures of one or two coloured shapes on a background, each with the words
 * that say all of it.
 *
 * @module
 */

import type { RgbImage } from "../image/resize.ts";
import type { SeededDraws } from "../training/seeded_draws.ts";

type Rgb = readonly [number, number, number];

/** As the bundled experts draw them. */
const COLOURS = {
  red: [220, 35, 35],
  green: [40, 175, 50],
  blue: [50, 82, 212],
  yellow: [240, 210, 50],
  purple: [145, 62, 180],
  orange: [240, 137, 43],
  cyan: [65, 185, 215],
  pink: [245, 140, 185],
} as const satisfies Record<string, Rgb>;

const GROUNDS = {
  white: [240, 240, 240],
  black: [25, 25, 25],
  gray: [128, 128, 128],
  brown: [130, 90, 60],
} as const satisfies Record<string, Rgb>;

/** How far the second tone of a texture is from the first. */
const TONE_STEP = 45;
const STRIPE_PIXELS = 8, CHECKER_PIXELS = 16;

/** Whether a point of the square [-1, 1]^2, y upwards, lies inside. */
const SHAPES = {
  circle: (x, y) => x * x + y * y <= 1,
  square: (x, y) => Math.max(Math.abs(x), Math.abs(y)) <= 0.85,
  triangle: (x, y) => y >= -0.8 && Math.abs(x) <= (0.95 - y) * 0.55,
  star: isInStar,
  cross: (x, y) => {
    const [far, near] = [Math.max(Math.abs(x), Math.abs(y)), Math.min(Math.abs(x), Math.abs(y))];
    return far <= 0.95 && near <= 0.32;
  },
  ring: (x, y) => x * x + y * y <= 1 && x * x + y * y >= 0.3,
  heart: (x, y) => {
    const [a, b] = [1.2 * x, 1.2 * y + 0.1];
    return (a * a + b * b - 1) ** 3 <= a * a * b ** 3;
  },
  diamond: (x, y) => Math.abs(x) * 1.25 + Math.abs(y) <= 1,
} as const satisfies Record<string, (x: number, y: number) => boolean>;

/** Five points; between two of them the edge is a straight line from radius 1 to 0.42. */
function isInStar(x: number, y: number): boolean {
  const wedge = Math.PI / 5;
  // The angle from the nearest point of the star, 0 to a wedge.
  const turned = Math.abs(Math.atan2(x, y)) % (2 * wedge);
  const angle = Math.min(turned, 2 * wedge - turned);
  const [px, py] = [Math.hypot(x, y) * Math.cos(angle), Math.hypot(x, y) * Math.sin(angle)];
  const [ix, iy] = [0.42 * Math.cos(wedge), 0.42 * Math.sin(wedge)];
  // The side of the line from (1, 0) to the inner corner on which the centre lies.
  return (ix - 1) * py - iy * (px - 1) >= 0;
}

export type Colour = keyof typeof COLOURS;
export type Shape = keyof typeof SHAPES;
export type Ground = keyof typeof GROUNDS;
const TEXTURES = ["plain", "striped", "checkered"] as const;
const SIZES = { small: [9, 12], large: [19, 25] } as const;
/** What the first shape is to the second, with where the two stand. */
const RELATIONS = {
  "above": [[32, 17], [32, 47]],
  "below": [[32, 47], [32, 17]],
  "left of": [[17, 32], [47, 32]],
  "right of": [[47, 32], [17, 32]],
} as const;

export const SHAPE_NAMES = Object.keys(SHAPES) as readonly Shape[];

/** Radius in a pair, and how far shapes stray from their place, in pixels of a picture of 64. */
const PAIR_RADIUS = [10, 14] as const;
const JITTER = 2;
const CANVAS = 64;
/** Points per pixel and axis that decide how much of a pixel a shape covers. */
const SUBPIXELS = 4;

export interface SceneObject {
  readonly colour: Colour;
  readonly shape: Shape;
  /** Of its middle and its half width, in pixels of a picture of 64 by 64. */
  readonly x: number;
  readonly y: number;
  readonly radius: number;
}

export interface Scene {
  readonly texture: typeof TEXTURES[number];
  readonly ground: Ground;
  readonly objects: readonly SceneObject[];
  readonly caption: string;
}

export interface SceneOptions {
  /** @default all */
  readonly shapes?: readonly Shape[];
  /** Probability of two objects. @default 0.6 */
  readonly pairs?: number;
  /** Probability of a background that is not plain. @default 0 */
  readonly textured?: number;
}

export function randomScene(draws: SeededDraws, options: SceneOptions = {}): Scene {
  const { shapes = SHAPE_NAMES, pairs = 0.6, textured = 0 } = options;
  const pick = <T>(choices: readonly T[]) => choices[draws.below(choices.length)]!;
  const between = (low: number, high: number) => low + draws.uniform() * (high - low);
  const texture = draws.uniform() < textured ? pick(TEXTURES.slice(1)) : "plain";
  const ground = pick(Object.keys(GROUNDS) as Ground[]);
  const behind = `on a ${texture} ${ground} background`;
  const colours = Object.keys(COLOURS) as Colour[];
  const object = (x: number, y: number, [low, high]: readonly [number, number]): SceneObject => ({
    ...{ colour: pick(colours), shape: pick(shapes), radius: between(low, high) },
    x: x + between(-JITTER, JITTER),
    y: y + between(-JITTER, JITTER),
  });
  const named = ({ colour, shape }: SceneObject) => `a ${colour} ${shape}`;
  if (draws.uniform() < pairs) {
    const relation = pick(Object.keys(RELATIONS) as (keyof typeof RELATIONS)[]);
    const [a, b] = RELATIONS[relation].map(([x, y]) => object(x, y, PAIR_RADIUS)) as [
      SceneObject,
      SceneObject,
    ];
    const caption = `${named(a)} ${relation} ${named(b)} ${behind}`;
    return { texture, ground, objects: [a, b], caption };
  }
  const size = pick(["small", "large"] as const);
  const one = object(CANVAS / 2, CANVAS / 2, SIZES[size]);
  const caption = `a ${size} ${one.colour} ${one.shape} ${behind}`;
  return { texture, ground, objects: [one], caption };
}

/** @param size height and width in pixels */
export function drawScene(scene: Scene, size = CANVAS): RgbImage {
  const rgb = new Uint8Array(size * size * 3);
  const scale = CANVAS / size;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      let colour: Rgb = backgroundAt(scene, (x + 0.5) * scale, (y + 0.5) * scale);
      for (const object of scene.objects) {
        colour = mix(colour, COLOURS[object.colour], coverage(object, x * scale, y * scale, scale));
      }
      rgb.set(colour.map(Math.round), (y * size + x) * 3);
    }
  }
  return { width: size, height: size, rgb };
}

function backgroundAt({ texture, ground }: Scene, x: number, y: number): Rgb {
  const colour = GROUNDS[ground];
  const [column, row] = [x, y].map((value) => Math.floor(value / CHECKER_PIXELS)) as [
    number,
    number,
  ];
  const isSecond = {
    plain: false,
    striped: Math.floor(x / STRIPE_PIXELS) % 2 === 0,
    checkered: (column + row) % 2 === 0,
  }[texture];
  if (!isSecond) return colour;
  const step = colour[0] > 180 ? -TONE_STEP : TONE_STEP;
  return colour.map((value) => value + step) as unknown as Rgb;
}

/** Share of the pixel whose upper left corner is at (x, y) that the shape covers. */
function coverage(object: SceneObject, x: number, y: number, pixel: number): number {
  const isInside = SHAPES[object.shape];
  const distance = (value: number, middle: number) => Math.abs(value + pixel / 2 - middle);
  const reach = object.radius + pixel / 2;
  if (distance(x, object.x) > reach || distance(y, object.y) > reach) return 0;
  let count = 0;
  for (let i = 0; i < SUBPIXELS; i++) {
    for (let j = 0; j < SUBPIXELS; j++) {
      const px = x + (i + 0.5) / SUBPIXELS * pixel;
      const py = y + (j + 0.5) / SUBPIXELS * pixel;
      const [u, v] = [(px - object.x) / object.radius, (object.y - py) / object.radius];
      if (isInside(u, v)) count++;
    }
  }
  return count / SUBPIXELS ** 2;
}

function mix(under: Rgb, over: Rgb, share: number): Rgb {
  return under.map((value, i) => value + share * (over[i]! - value)) as unknown as Rgb;
}
