// sharp as a contestant: requests and answers as in bench/engine/worker.py. `node sharp_worker.mjs idiomatic|one|tuned`
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import sharp from "sharp";

const CASCADE = 1.5;
sharp.cache(false); // as in sharp's own benchmark

const box = ({ width, height }) => ({ width, height, fit: "inside", withoutEnlargement: true });
const encode = (pipeline, file, options) =>
  pipeline.toFormat(file.format, { quality: file.quality, ...options[file.format] }).toBuffer();
const opaque = (pipeline, options) => (options.flatten ? pipeline.flatten(options.flatten) : pipeline);
const pixels = async (pipeline) => {
  const { data, info } = await pipeline.raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, raw: { width: info.width, height: info.height, channels: info.channels } };
};
const from = ({ data, raw }) => sharp(data, { raw });

const idiomatic = (data, files, options) =>
  Promise.all(files.map((file) => {
    const upright = options.rotate ? sharp(data).autoOrient() : sharp(data);
    const small = upright.resize(box(file));
    return encode(file.format === "jpeg" ? opaque(small, options) : small, file, options);
  }));

// One decode for all files. With transparency, only the files that keep it are made from pixels with transparency.
async function decoded(data, files, options, turn) {
  const onlyJpeg = files.every((file) => file.format === "jpeg");
  const small = turn(sharp(data), files[0]);
  const whole = await pixels(onlyJpeg ? opaque(small, options) : small);
  const flat = options.flatten && !onlyJpeg ? await pixels(opaque(from(whole), options)) : whole;
  return { whole, flat };
}

async function oneDecode(data, files, options) {
  const turn = (image, file) => (options.rotate ? image.autoOrient() : image).resize(box(file));
  const { whole, flat } = await decoded(data, files, options, turn);
  return Promise.all(files.map((file) => encode(from(file.format === "jpeg" ? flat : whole).resize(box(file)), file, options)));
}

async function tuned(data, files, options) {
  const turn = (image, file) => {
    const small = image.resize(box(file));
    return options.rotate ? small.rotate(options.rotate.angle) : small;
  };
  const { whole, flat } = await decoded(data, files, options, turn);
  const sizes = [flat];
  const outs = [];
  for (const file of files) {
    if (file.format !== "jpeg") {
      outs.push(encode(from(whole), file, options)); // of the default recipes, only the largest has WebP
      continue;
    }
    if (file.width < files[0].width) {
      const larger = sizes.filter((size) => size.width >= CASCADE * file.width || size.height >= CASCADE * file.height);
      const source = larger.at(-1) ?? flat;
      sizes.push(await pixels(from(source).resize(box(file))));
    }
    outs.push(encode(from(sizes.at(-1)), file, options));
  }
  return Promise.all(outs);
}

const make = { idiomatic, one: oneDecode, tuned }[process.argv[2]];
const peak = () => {
  const line = readFileSync("/proc/self/status", "utf8").split("\n").find((entry) => entry.startsWith("VmHWM:"));
  return Number(line.split(/\s+/)[1]) * 1024;
};

async function answer(request) {
  const data = readFileSync(request.path);
  const cpu = process.cpuUsage();
  const wall = performance.now();
  let outs;
  try {
    outs = await make(data, request.files, request.options);
  } catch (error) {
    return { error: String(error) };
  }
  const used = process.cpuUsage(cpu);
  const measured = {
    cpu: (used.user + used.system) / 1e6,
    wall: (performance.now() - wall) / 1e3,
    bytes: outs.reduce((sum, out) => sum + out.length, 0),
    peak: peak(),
  };
  if (request.save) outs.forEach((out, place) => writeFileSync(`${request.save}/${place}`, out));
  return measured;
}

for await (const line of createInterface({ input: process.stdin })) console.log(JSON.stringify(await answer(JSON.parse(line))));
