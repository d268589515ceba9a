// Files become pictures: looked at whole, scaled down where they are huge, a video cut into frames with a canvas.
//
// A video is cut here and not on the server: so each frame is an image among the others, with a thumbnail, a number and
// a place; a long video need not be sent; and the server decodes none. Frames stand at even distances from the first to
// the last, as the rest of Triptych takes them.

const MOST_SIDE_PX = 2048;
const MOST_BYTES = 4 << 20;
const FRAME_SIDE_PX = 1024;
const THUMB_SIDE_PX = 256;
const SECONDS = 15_000;

export class Unusable extends Error {}

/** Pictures of a file: one, or the frames of a video. Raises Unusable, with a line that names the file. */
export async function picturesOf(file, frames) {
  if (file.type.startsWith("video/")) return framesOf(file, frames);
  return [await pictureOf(file)];
}

async function pictureOf(file) {
  let bitmap, kind;
  try {
    kind = await sentAsIs(file);
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Unusable(`${file.name}: this browser cannot read it as a picture. Save it as PNG or JPEG.`);
  }
  const fits = Math.max(bitmap.width, bitmap.height) <= MOST_SIDE_PX && file.size <= MOST_BYTES;
  const kept = fits && kind !== "";
  const shown = drawn(bitmap, bitmap.width, bitmap.height, MOST_SIDE_PX);
  const uri = kept ? await uriOf(file, kind) : smallest(shown, kind !== "image/jpeg");
  const size = kept ? [bitmap.width, bitmap.height] : [shown.width, shown.height];
  const picture = { uri, thumb: thumbOf(bitmap, bitmap.width, bitmap.height), name: file.name || "pasted image",
    width: size[0], height: size[1] };
  bitmap.close();
  return picture;
}

/** The kind of a file that is sent as it is, by its bytes and not by its name; "" for what is drawn anew. */
async function sentAsIs(file) {
  const head = String.fromCharCode(...new Uint8Array(await file.slice(0, 21).arrayBuffer()));
  if (head.startsWith("\x89PNG\r\n\x1a\n")) return "image/png";
  if (head.startsWith("\xff\xd8\xff")) return "image/jpeg";
  // A WebP whose EXIF may turn it: browsers show it as it lies, the server turns it.
  if (/^RIFF[^]{4}WEBPVP8X/.test(head) && head.charCodeAt(20) & 8) return "";
  return /^RIFF[^]{4}WEBP/.test(head) ? "image/webp" : "";
}

async function framesOf(file, count) {
  const address = URL.createObjectURL(file);
  const video = document.createElement("video");
  video.muted = true;
  video.preload = "auto";
  try {
    await until(video, "loadeddata", () => { video.src = address; });
    if (!Number.isFinite(video.duration)) await until(video, "durationchange", () => { video.currentTime = 1e6; });
    if (!video.videoWidth || !Number.isFinite(video.duration)) throw new Error("no picture or no length");
    const end = Math.max(0, video.duration - 0.05);
    const found = [];
    for (let at = 0; at < count; at += 1) {
      const time = count > 1 ? (end * at) / (count - 1) : 0;
      if (Math.abs(video.currentTime - time) > 1e-3) await until(video, "seeked", () => { video.currentTime = time; });
      const frame = drawn(video, video.videoWidth, video.videoHeight, FRAME_SIDE_PX);
      found.push({ uri: frame.toDataURL("image/jpeg", 0.92), thumb: thumbOf(frame, frame.width, frame.height),
        name: `${file.name} at ${time.toFixed(1)} s`, width: frame.width, height: frame.height });
    }
    return found;
  } catch {
    throw new Unusable(`${file.name}: this browser cannot play it. Save it as MP4 (H.264) or WebM.`);
  } finally {
    video.removeAttribute("src");
    video.load();
    URL.revokeObjectURL(address);
  }
}

function until(node, event, begin) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => end(reject), SECONDS);
    const good = () => end(resolve), bad = () => end(reject);
    function end(told) {
      clearTimeout(timer);
      node.removeEventListener(event, good);
      node.removeEventListener("error", bad);
      told(new Error(event));
    }
    node.addEventListener(event, good);
    node.addEventListener("error", bad);
    begin();
  });
}

function drawn(source, width, height, side) {
  const scale = Math.min(1, side / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const brush = canvas.getContext("2d");
  brush.imageSmoothingQuality = "high";
  brush.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

function thumbOf(source, width, height) {
  return drawn(source, width, height, THUMB_SIDE_PX).toDataURL("image/webp", 0.8);
}

/** As PNG where that is not too long, else as JPEG on white. */
function smallest(canvas, tryPng) {
  const png = tryPng ? canvas.toDataURL("image/png") : "";
  if (png && png.length * 0.75 <= MOST_BYTES) return png;
  const brush = canvas.getContext("2d");
  brush.globalCompositeOperation = "destination-over";
  brush.fillStyle = "#fff";
  brush.fillRect(0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.92);
}

function uriOf(file, kind) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Unusable(`${file.name}: it cannot be read.`));
    reader.readAsDataURL(file.slice(0, file.size, kind));
  });
}
