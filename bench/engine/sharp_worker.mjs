// sharp as a contestant: the same requests and answers as bench/engine/worker.py. `node sharp_worker.mjs idiomatic|one-decode`
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import sharp from "sharp";

const SIZES = [1600, 1024, 640, 320, 100];
const fit = (side) => ({ width: side, height: side, fit: "inside", withoutEnlargement: true });
sharp.cache(false);

const idiomatic = (data) =>
  Promise.all(SIZES.map((side) => sharp(data).rotate().resize(fit(side)).jpeg({ quality: 80 }).toBuffer()));

async function oneDecode(data) {
  const { data: base, info } = await sharp(data)
    .rotate().resize(fit(SIZES[0])).flatten({ background: "white" }).raw().toBuffer({ resolveWithObject: true });
  const raw = { raw: { width: info.width, height: info.height, channels: info.channels } };
  const jpeg = { quality: 80, optimiseCoding: false }; // as libvips and Pillow do by default
  return Promise.all(SIZES.map((side) => sharp(base, raw).resize(fit(side)).jpeg(jpeg).toBuffer()));
}

const job = process.argv[2] === "idiomatic" ? idiomatic : oneDecode;
const peak = () => {
  const line = readFileSync("/proc/self/status", "utf8").split("\n").find((each) => each.startsWith("VmHWM:"));
  return Number(line.split(/\s+/)[1]) * 1024;
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  const data = readFileSync(request.path);
  const cpu = process.cpuUsage();
  const wall = performance.now();
  const outs = await job(data);
  const used = process.cpuUsage(cpu);
  const answer = {
    cpu: (used.user + used.system) / 1e6,
    wall: (performance.now() - wall) / 1e3,
    bytes: outs.reduce((sum, out) => sum + out.length, 0),
    peak: peak(),
  };
  if (request.save) outs.forEach((out, index) => writeFileSync(`${request.save}/${SIZES[index]}.jpg`, out));
  console.log(JSON.stringify(answer));
}
