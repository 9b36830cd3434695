// MessagePack (github.com/msgpack/msgpack, spec.md): values to bytes and back, and a stream of bytes cut into values.
//
//   nil       null            str     string (UTF-8)
//   bool      true, false     bin     Buffer
//   int       number, if it is whole; a bigint where a number would not be exact
//   float     number          array   Array
//                             map     Map
//
// Extension types mean nothing here. FrameReader steps over them, and `decode` refuses them.

export const MAX_FRAME = 64 * 1024 * 1024; // bytes
export const MAX_NESTING = 1024; // arrays and maps inside each other

/** These bytes are not what they should be. */
export class Malformed extends Error {}

// --- values to bytes -------------------------------------------------------------------------------------------------

/** The bytes of a value, in the shortest form that the specification has. */
export function encode(value) {
  const parts = [];
  write(parts, value);
  return Buffer.concat(parts);
}

function write(parts, value) {
  if (value === null) parts.push(head(0xc0));
  else if (value === false) parts.push(head(0xc2));
  else if (value === true) parts.push(head(0xc3));
  else if (typeof value === 'bigint' || Number.isSafeInteger(value)) parts.push(integer(value));
  else if (typeof value === 'number') parts.push(float(value));
  else if (typeof value === 'string') {
    const bytes = Buffer.from(value);
    parts.push(bytes.length < 32 ? head(0xa0 | bytes.length) : sized(bytes.length, 0xd9, 0xda, 0xdb), bytes);
  } else if (value instanceof Uint8Array) {
    parts.push(sized(value.length, 0xc4, 0xc5, 0xc6), value);
  } else if (Array.isArray(value)) {
    parts.push(value.length < 16 ? head(0x90 | value.length) : sized(value.length, null, 0xdc, 0xdd));
    for (const element of value) write(parts, element);
  } else if (value instanceof Map) {
    parts.push(value.size < 16 ? head(0x80 | value.size) : sized(value.size, null, 0xde, 0xdf));
    for (const [key, element] of value) {
      write(parts, key);
      write(parts, element);
    }
  } else {
    throw new TypeError(`expected null, a boolean, number, text, Buffer, Array or Map, got ${typeof value}`);
  }
}

/** The type's byte, and a number of so many bytes after it. */
function head(type, bytes = 0, number = 0) {
  const out = Buffer.alloc(1 + bytes);
  out[0] = type;
  if (bytes === 8) number < 0 ? out.writeBigInt64BE(BigInt(number), 1) : out.writeBigUInt64BE(BigInt(number), 1);
  else if (bytes > 0) number < 0 ? out.writeIntBE(number, 1, bytes) : out.writeUIntBE(number, 1, bytes);
  return out;
}

/** The head of something with a length: `types` for lengths of one, two and four bytes. */
function sized(length, one, two, four) {
  if (length < 0x100 && one !== null) return head(one, 1, length);
  return length < 0x10000 ? head(two, 2, length) : head(four, 4, length);
}

function integer(value) {
  if (value >= 0) {
    if (value < 0x80) return head(Number(value));
    if (value < 0x100) return head(0xcc, 1, Number(value));
    if (value < 0x10000) return head(0xcd, 2, Number(value));
    return value < 0x100000000 ? head(0xce, 4, Number(value)) : head(0xcf, 8, value);
  }
  if (value >= -0x20) return head(Number(value) & 0xff);
  if (value >= -0x80) return head(0xd0, 1, Number(value));
  if (value >= -0x8000) return head(0xd1, 2, Number(value));
  return value >= -0x80000000 ? head(0xd2, 4, Number(value)) : head(0xd3, 8, value);
}

function float(value) {
  const out = Buffer.alloc(9);
  out[0] = 0xcb;
  out.writeDoubleBE(value, 1);
  return out;
}

// --- bytes to values -------------------------------------------------------------------------------------------------

// What each first byte from 0xc0 to 0xdf announces: a kind, and either so many bytes, or a length in so many bytes.
const KINDS = {
  0xc0: { kind: 'nil', count: 0 },
  0xc2: { kind: 'false', count: 0 },
  0xc3: { kind: 'true', count: 0 },
  0xc4: { kind: 'bin', lengthBytes: 1 },
  0xc5: { kind: 'bin', lengthBytes: 2 },
  0xc6: { kind: 'bin', lengthBytes: 4 },
  0xc7: { kind: 'ext', lengthBytes: 1 },
  0xc8: { kind: 'ext', lengthBytes: 2 },
  0xc9: { kind: 'ext', lengthBytes: 4 },
  0xca: { kind: 'float', count: 4 },
  0xcb: { kind: 'float', count: 8 },
  0xcc: { kind: 'uint', count: 1 },
  0xcd: { kind: 'uint', count: 2 },
  0xce: { kind: 'uint', count: 4 },
  0xcf: { kind: 'uint', count: 8 },
  0xd0: { kind: 'int', count: 1 },
  0xd1: { kind: 'int', count: 2 },
  0xd2: { kind: 'int', count: 4 },
  0xd3: { kind: 'int', count: 8 },
  0xd4: { kind: 'ext', count: 2 },
  0xd5: { kind: 'ext', count: 3 },
  0xd6: { kind: 'ext', count: 5 },
  0xd7: { kind: 'ext', count: 9 },
  0xd8: { kind: 'ext', count: 17 },
  0xd9: { kind: 'str', lengthBytes: 1 },
  0xda: { kind: 'str', lengthBytes: 2 },
  0xdb: { kind: 'str', lengthBytes: 4 },
  0xdc: { kind: 'array', lengthBytes: 2 },
  0xdd: { kind: 'array', lengthBytes: 4 },
  0xde: { kind: 'map', lengthBytes: 2 },
  0xdf: { kind: 'map', lengthBytes: 4 },
};

/**
 * What begins at `at`: its kind, where its content starts, and how much that is: elements of an array, pairs of a map,
 * bytes of anything else. Null if the bytes end before that is known.
 */
function look(bytes, at) {
  const first = bytes[at];
  if (first === undefined) return null;
  if (first < 0x80 || first >= 0xe0) return { kind: 'small', start: at + 1, count: 0 };
  if (first < 0x90) return { kind: 'map', start: at + 1, count: first & 0x0f };
  if (first < 0xa0) return { kind: 'array', start: at + 1, count: first & 0x0f };
  if (first < 0xc0) return { kind: 'str', start: at + 1, count: first & 0x1f };
  const found = KINDS[first];
  if (found === undefined) throw new Malformed('0xc1 begins no value');
  const { kind, lengthBytes } = found;
  if (lengthBytes === undefined) return { kind, start: at + 1, count: found.count };
  const start = at + 1 + lengthBytes;
  if (start > bytes.length) return null;
  const count = bytes.readUIntBE(at + 1, lengthBytes);
  return { kind, start, count: kind === 'ext' ? count + 1 : count }; // an extension has its type before its data
}

/** The value that these bytes are, all of them. Throws `Malformed`. */
export function decode(bytes) {
  const [value, end] = read(bytes, 0, 0);
  if (end !== bytes.length) throw new Malformed(`expected one value, got ${bytes.length - end} bytes after it`);
  return value;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The value that begins at `at`, and where it ends. */
function read(bytes, at, depth) {
  const found = look(bytes, at);
  if (found === null) throw new Malformed('the bytes end within a value');
  if (depth > MAX_NESTING) throw new Malformed(`nested more than ${MAX_NESTING} deep`);
  const { kind, start, count } = found;
  if (kind === 'array') return readMany(bytes, start, count, depth + 1);
  if (kind === 'map') {
    const [both, end] = readMany(bytes, start, 2 * count, depth + 1);
    const map = new Map();
    for (let i = 0; i < both.length; i += 2) map.set(both[i], both[i + 1]);
    return [map, end];
  }
  const end = start + count;
  if (end > bytes.length) throw new Malformed('the bytes end within a value');
  return [scalar(kind, bytes.subarray(start, end), bytes[at]), end];
}

function readMany(bytes, start, count, depth) {
  const values = [];
  let at = start;
  for (let i = 0; i < count; i++) {
    const [value, end] = read(bytes, at, depth);
    values.push(value);
    at = end;
  }
  return [values, at];
}

function scalar(kind, content, first) {
  switch (kind) {
    case 'small':
      return first < 0x80 ? first : first - 0x100;
    case 'nil':
      return null;
    case 'false':
      return false;
    case 'true':
      return true;
    case 'bin':
      return content;
    case 'float':
      return content.length === 4 ? content.readFloatBE() : content.readDoubleBE();
    case 'uint':
      return content.length === 8 ? exact(content.readBigUInt64BE()) : content.readUIntBE(0, content.length);
    case 'int':
      return content.length === 8 ? exact(content.readBigInt64BE()) : content.readIntBE(0, content.length);
    case 'str':
      try {
        return utf8.decode(content);
      } catch {
        throw new Malformed('expected text in UTF-8, got other bytes');
      }
    default:
      throw new Malformed('extension types mean nothing here');
  }
}

function exact(big) {
  return Number.isSafeInteger(Number(big)) ? Number(big) : big;
}

// --- a stream --------------------------------------------------------------------------------------------------------

/**
 * Cuts the bytes of a connection into values, which carry no length: give it each piece as it arrives.
 *
 * It walks over a value without building it. All that it has to remember is how far it came, and how many values are
 * still to come: one at first; an array of five is one less and five more.
 */
export class FrameReader {
  #pieces = [];
  #length = 0; // bytes in them
  #walked = 0; // bytes of the first frame that lie behind us; the end of a long text may not have arrived
  #values = 1; // values of the first frame that lie before us, of at least a byte each

  /** The frames that are complete now. Throws `Malformed`. */
  feed(piece) {
    this.#pieces.push(piece);
    this.#length += piece.length;
    if (this.#length < this.#walked + this.#values) return []; // so a long frame is put together only once
    let bytes = this.#pieces.length === 1 ? piece : Buffer.concat(this.#pieces);
    const frames = [];
    while (this.#walk(bytes)) {
      frames.push(bytes.subarray(0, this.#walked));
      bytes = bytes.subarray(this.#walked);
      this.#walked = 0;
      this.#values = 1;
    }
    this.#pieces = bytes.length > 0 ? [bytes] : [];
    this.#length = bytes.length;
    return frames;
  }

  /** Goes on as far as there are bytes. True at the end of a frame. */
  #walk(bytes) {
    while (this.#values > 0) {
      const found = look(bytes, this.#walked);
      if (found === null) return false;
      const { kind, start, count } = found;
      const children = kind === 'array' ? count : kind === 'map' ? 2 * count : 0;
      this.#walked = kind === 'array' || kind === 'map' ? start : start + count;
      this.#values += children - 1;
      if (this.#walked + this.#values > MAX_FRAME) throw new Malformed(`a frame of more than ${MAX_FRAME} bytes`);
    }
    return this.#walked <= bytes.length;
  }
}
