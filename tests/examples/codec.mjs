// For test_lab1_node.py: decodes each line of standard input, which is the bytes of one value in hex, prints what it is
// encoded as again, also in hex, and whether the FrameReader finds the same value in pieces of any size.

import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const { decode, encode, FrameReader } = await import(pathToFileURL(process.argv[2]));

for await (const line of createInterface({ input: process.stdin })) {
  const bytes = Buffer.from(line, 'hex');
  let said;
  try {
    said = encode(decode(bytes)).toString('hex');
    for (const size of [1, 3, bytes.length + 1]) {
      const reader = new FrameReader();
      const twice = Buffer.concat([bytes, bytes]);
      const frames = [];
      for (let at = 0; at < twice.length; at += size) frames.push(...reader.feed(twice.subarray(at, at + size)));
      if (frames.length !== 2 || !frames.every((frame) => frame.equals(bytes))) said = `cut wrongly by ${size}`;
    }
  } catch (error) {
    said = `${error.constructor.name}: ${error.message}`;
  }
  console.log(said);
}
