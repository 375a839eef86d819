/** Match codes: a word and a number, in the terminal and on the page, that the person compares. @module */

import type { Random } from './text.ts'

const WORDS = (
  'acorn amber anchor apple arrow aspen badge bagel basil beacon berry birch bison bottle branch bridge ' +
  'bronze button cabin cactus camel candle canoe carpet castle cedar cherry cloud clover cobalt comet copper ' +
  'coral cotton crane crystal daisy desert dolphin dragon eagle ember falcon feather fennel fiddle forest fossil ' +
  'garden garnet ginger glacier goose granite grape guitar hammer harbor hazel heron honey indigo island ' +
  'ivory jacket jaguar jasmine jungle kettle kitten ladder lagoon lantern lemon lilac lizard lotus magnet ' +
  'mango maple marble meadow melon mirror monkey mosaic mountain nectar needle nutmeg oasis ocean olive onion ' +
  'orange orchid otter oyster paddle panda paper parrot peach pebble pencil pepper pigeon pillow planet plum ' +
  'pocket pony poppy potato prairie pumpkin puzzle quartz rabbit radish raven ribbon river robin rocket saddle ' +
  'saffron salmon sand silver'
).split(' ')

/** Makes a match code such as `maple 42`. */
export function createMatchCode(random: Random): string {
  const [high = 0, low = 0, digits = 0] = random(3)
  return `${WORDS[((high << 8) | low) % WORDS.length]} ${10 + (digits % 90)}`
}

/** Tells whether what a person typed names this match code; case, spaces and punctuation do not count. */
export function sameMatchCode(typed: string, code: string): boolean {
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, '')
  return plain(typed) === plain(code)
}
