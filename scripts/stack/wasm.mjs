// The sections that WebAssembly modules and components are made of.

/** Sections without a meaning for whoever runs them, such as names. */
export const CUSTOM = 0;
/** In a component. */
export const CORE_MODULE = 1;
/** Magic number, version and layer. */
export const PREAMBLE_BYTES = 8;
/** Where the preamble has the layer: a module's is 0, a component's 1. */
const LAYER_AT = 6;

/** Reads LEB128 numbers, names and bytes in turn. */
export class Reader {
  /** @param {Buffer} bytes */
  constructor(bytes, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  get isAtEnd() {
    return this.at >= this.bytes.length;
  }

  byte() {
    return this.bytes.readUInt8(this.at++);
  }

  number() {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  }

  /** @param {number} length */
  take(length) {
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  text() {
    return this.take(this.number()).toString();
  }
}

/** @param {Buffer} bytes of a module or component @returns {Generator<{ id: number, bytes: Buffer }>} */
export function* sections(bytes) {
  const reader = new Reader(bytes, PREAMBLE_BYTES);
  while (!reader.isAtEnd) {
    const id = reader.byte();
    yield { id, bytes: reader.take(reader.number()) };
  }
}

/** @param {Buffer} bytes of a module or component */
export const isComponent = (bytes) => bytes.readUInt16LE(LAYER_AT) !== 0;
