"use strict"; // of the page that checks a package (verify.html): what package_check.py, package_proof.py and package_verdict.py do
// ---- the package --------------------------------------------------------------------------------------------------
const UNLISTED = ["manifest.json", "signature.json", "SHA256SUMS"], CLUTTER = [".DS_Store", "Thumbs.db", "desktop.ini"];
const SMALL = 64 * 1048576, PIECE = 8 * 1048576;
const inside = name => typeof name === "string" && !name.startsWith("/") && !/[\\\p{C}\p{Zl}\p{Zp}]/u.test(name) && name.split("/").every(part => part && part !== "." && part !== "..");
const fingerprint = key => { const h = shaOf(key); return Array.from({ length: 8 }, (_, i) => String(parseInt(h.slice(4 * i, 4 * i + 4), 16)).padStart(5, "0")).join("-"); };
const digitsOf = text => text.replace(/[０-９]/g, each => String.fromCharCode(each.charCodeAt(0) - 0xfee0)).replace(/[^0-9]/g, "");
async function digest(file, tell, isSm3 = false) { // sha256, and beside it what the recorder hashed with
  if (CRYPTO && file.size <= SMALL) { const data = new Uint8Array(await file.arrayBuffer()), sha = hex(await crypto.subtle.digest("SHA-256", data)); tell(file.size); return [sha, isSm3 ? "sm3:" + sm3(data) : sha]; }
  const hash = new Sha256(), other = isSm3 ? new Sm3() : null;
  for (let at = 0; at < file.size; at += PIECE) { const part = new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()); hash.update(part); if (other) other.update(part); tell(part.length); await new Promise(done => setTimeout(done)); }
  const sha = hash.hex(); return [sha, other ? "sm3:" + other.hex() : sha];
}
async function saidIn(file) { // what a recorded file says of itself, in its first bytes
  const data = new Uint8Array(await file.slice(0, 16384).arrayBuffer()), view = new DataView(data.buffer);
  let at = 0, end = data.length;
  for (const [kind, skipped] of [["moov", 0], ["udta", 0], ["meta", 4], ["ilst", 0], ["\xa9cmt", 0], ["data", 8]]) {
    for (;;) {
      if (at + 8 > end) return {};
      const size = view.getUint32(at); if (size < 8 || at + size > end) return {};
      if (String.fromCharCode(...data.subarray(at + 4, at + 8)) === kind) { end = at + size; at += 8 + skipped; break; }
      at += size;
    }
  }
  try { const text = new TextDecoder("utf-8", { fatal: true }).decode(data.subarray(at, end)), told = JSON.parse(text); return told && typeof told === "object" ? { ...told, start_ns: /"start_ns": ?(\d+)/.exec(text)?.[1] } : {}; } catch (error) { return {}; }
}
function rooted(files) { // names below the folder of the manifest that lies highest
  const deep = name => name.split("/").length, heads = [...files.keys()].filter(name => name === "manifest.json" || name.endsWith("/manifest.json")).sort((a, b) => deep(a) - deep(b));
  if (!heads.length || heads.length > 1 && deep(heads[0]) === deep(heads[1])) return null;
  const prefix = heads[0].slice(0, -"manifest.json".length);
  return new Map([...files].filter(([name]) => name.startsWith(prefix)).map(([name, file]) => [name.slice(prefix.length), file]));
}
async function readSignature(files, manifestHash) {
  const file = files.get("signature.json"); if (!file) return null;
  try {
    const told = JSON.parse(await file.text()), key = unbase64(told.public_key), lines = String(told.signed).split("\n");
    const fits = lines[0] === "yunjian-export-1" && lines[1] === manifestHash, found = await verify(key, unbase64(told.signature), bytes(told.signed));
    return { good: fits && found.good && key.length === 32, own: found.own, fingerprint: key.length === 32 ? fingerprint(key) : "", key };
  } catch (error) { return { good: false, own: false, fingerprint: "", key: new Uint8Array() }; }
}
const DIGEST = /^(sm3:)?[0-9a-f]{64}$/;
const linkHash = (like, text) => { if (!DIGEST.test(like)) throw new Error("digest"); return like.startsWith("sm3:") ? "sm3:" + sm3(bytes(text)) : shaOf(bytes(text)); };
class Broken extends Error {}
async function checkProof(manifest, content, seen, key) { // as package_proof.py
  let camera = "", stream = "";
  try { const proof = JSON.parse(content); ({ camera, stream } = proof); return await follow(proof, manifest, seen, key); }
  catch (error) { return { camera, stream, standing: "broken", problem: String(error.message || error), damaged: [], unvouched: [], moved: [], linked: new Set(), absent: [] }; }
}
const MOST_PASSED = 4, TAKEN = /^((con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?|joined|proof)$/i;
const safe = id => { const kept = id.replace(/[\x00-\x1f<>:"/\\|?*\s]+/g, "_").replace(/^[._]+|[._]+$/g, ""); return TAKEN.test(kept) ? kept + "_" : kept || "_"; };
function isToldSo(each) { // whether the time that people read is that of the segment
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d$/.test(each.start) || BigInt(Date.parse(each.start)) !== BigInt(each.start_ns) / 1000000n) return false;
  return each.name === `${safe(each.camera)}/${safe(each.stream)}/${each.start.slice(0, 10)}_${each.start.slice(11, 19).replaceAll(":", ".")}_${String(each.seq).padStart(8, "0")}.mp4`;
}
async function follow(proof, manifest, seen, key) {
  const { camera, stream, checkpoint } = proof, stop = problem => { throw new Broken(problem); };
  const ids = new Set(manifest.cameras.filter(each => each.uuid === camera && each.stream === stream).map(each => each.id)), packed = new Map(), links = [], damaged = new Set(), unvouched = new Set();
  for (const each of manifest.files) if (each.kind === "segment" && ids.has(each.camera) && each.stream === stream && seen.has(each.name)) {
    if (packed.has(each.seq)) stop("#" + each.seq + " " + each.name);
    packed.set(each.seq, { ...each, label: each.labelled_ns || each.start_ns, open: each.state === "open", found: seen.get(each.name) });
  }
  const loose = new Map((proof.loose || []).map(each => [each.seq, each])), values = proof.links.map(text => JSON.parse(text));
  const told = new Map([...(proof.apart || []), ...loose.values()].map(each => [each.seq, each.head])); // heads that the next link does not name
  values.forEach(([mark, before, ofCamera, ofStream, seq, , size, hash], i) => {
    const text = proof.links[i], head = told.has(seq) ? told.get(seq) : i + 1 < values.length ? values[i + 1][1] : proof.head;
    if (mark !== "yunjian-link-1" || ofCamera !== camera || ofStream !== stream || !Number.isSafeInteger(seq) || seq <= (links.length ? links.at(-1).seq : 0) || linkHash(head, text) !== head) stop("#" + seq);
    links.push({ seq, before, head, content: size + " " + hash, start: /,(\d+),\d+,"[^"]*"\]$/.exec(text)[1] });
  });
  const last = links.at(-1);
  if ((last ? last.head : proof.before) !== proof.head) stop("head");
  if (last && links[0].before !== proof.before) stop("#" + links[0].seq);
  const signed = async told => {
    const text = told.text, start = "yunjian-checkpoint-1\n";
    if (!text.startsWith(start) || !(await verify(key, unbase64(told.signature), bytes(text))).good) stop("checkpoint: signature");
    return JSON.parse(text.slice(start.length));
  };
  let endSigned = false;
  const vouched = async link => { // whether a checkpoint signed what is left of a loose file
    const told = loose.get(link.seq).checkpoint;
    if (!told) { if (endSigned) stop("#" + link.seq + ": loose"); return false; }
    const named = ((await signed(told)).loose || []).find(each => each[0] === camera && each[1] === stream && each[2] === link.seq);
    if (!named || named[3] !== "" && named[3] !== link.head) stop("#" + link.seq + ": loose");
    return named[3] !== "";
  };
  const damage = async some => { for (const link of some) { if (!loose.has(link.seq)) stop("#" + link.seq); if (key) (await vouched(link) ? damaged : unvouched).add(link.seq); } };
  if (key && checkpoint) {
    const heads = (await signed(checkpoint)).heads || [];
    if (last && !heads.some(head => head[0] === camera && head[1] === stream && head[2] === last.seq && head[3] === last.head)) stop("checkpoint: heads");
    endSigned = !!last;
  } else if (key && last && loose.has(last.seq)) { endSigned = await vouched(last); (endSigned ? damaged : unvouched).add(last.seq); }
  const beganAnew = (before, link) => { // whether the machine was started soon after a cut between the two
    const files = Array.from({ length: MOST_PASSED + 1 }, (_, i) => packed.get(link.seq + i)), boots = files.map(each => each && each.found.said.boot || null);
    const written = packed.has(before.seq) && packed.get(before.seq).found.said.boot; // what follows a cut names what only the memory of that boot knew
    if (written && boots[0] && written !== boots[0]) stop("#" + before.seq);
    if (files[0] && !boots[0] || new Set(boots.filter(Boolean)).size > 1) return true;
    const places = new Set([before, link].filter(each => packed.has(each.seq)).map(each => packed.get(each.seq).volume || ""));
    if (!boots.includes(null) && places.size === 1 && !places.has("")) stop("#" + before.seq);
    return false;
  };
  for (let i = 1, begin = 0; i < links.length; i++) {
    const link = links[i], before = links[i - 1]; if (link.before === before.head) continue;
    let passed = i - 1; while (passed >= Math.max(i - MOST_PASSED, begin) && links[passed].before !== link.before) passed--;
    if (passed >= Math.max(i - MOST_PASSED, begin)) { await damage(links.slice(passed, i)); continue; }
    const piece = () => links.slice(begin, i).forEach(each => unvouched.add(each.seq));
    if (!loose.has(before.seq)) { if (link.seq > before.seq + 1) piece(); else stop("#" + link.seq); }
    else {
      await damage([before]);
      if (unvouched.has(before.seq)) piece(); else if (!beganAnew(before, link) || link.seq > before.seq + 1) { unvouched.add(before.seq); damaged.delete(before.seq); }
    }
    begin = i;
  }
  const bySeq = new Map(links.map(link => [link.seq, link])), moved = [];
  for (const [seq, each] of packed) {
    const link = bySeq.get(seq), said = each.found.said, itself = { camera, stream, seq, id: each.camera, start_ns: each.label };
    for (const name of Object.keys(itself)) if ((said[name] ?? itself[name]) !== itself[name]) stop(`#${seq} ${each.name}: ${name}`);
    if (link && !each.open) {
      if (each.found.bytes + " " + each.found.digest !== link.content) { if (!key || !loose.has(seq) || await vouched(link)) stop(`#${seq} ${each.name}`); unvouched.add(seq); }
      if (each.label !== link.start) stop(`#${seq} ${each.name}: start_ns`);
      if (each.start_ns !== link.start) moved.push(seq);
    }
    if (!isToldSo(each)) stop(`#${seq} ${each.name}: start`);
  }
  const numbers = links.map(link => link.seq), there = numbers.filter(seq => packed.has(seq) && !packed.get(seq).open), of = some => [...some].filter(seq => packed.has(seq)).sort((a, b) => a - b);
  const absent = numbers.filter(seq => there[0] < seq && seq < there.at(-1) && !packed.has(seq)), result = { camera, stream, problem: "", damaged: of(damaged), unvouched: of(unvouched), moved, absent, linked: new Set(numbers.filter(seq => !packed.has(seq) || !packed.get(seq).open)) };
  return endSigned ? { ...result, standing: result.unvouched.length ? "doubtful" : "proved" } : { ...result, standing: "unproved", linked: new Set(), unvouched: result.unvouched.filter(seq => loose.has(seq)) };
}
const text = some => some.every(each => typeof each === "string"), object = each => each && typeof each === "object" && !Array.isArray(each);
const fitsFile = each => text([each.name, each.kind, each.sha256]) && /^[0-9a-f]{64}$/.test(each.sha256) && inside(each.name) && Number.isSafeInteger(each.bytes) && (each.kind !== "segment" || text([each.camera, each.stream, each.state, each.start]) && Number.isSafeInteger(each.seq) && [each.start_ns, each.labelled_ns ?? "0"].every(time => typeof time === "string" && /^\d+$/.test(time)));
const fitsCamera = each => text([each.id, each.uuid, each.stream]) && [each.footage || [], each.gaps || []].every(some => Array.isArray(some) && some.every(object));
function live(manifest) { // the newest of each film, as far as they were being written still
  const films = new Map(), found = new Set();
  for (const each of manifest.files) if (each.kind === "segment") { const name = JSON.stringify([each.camera, each.stream]); if (!films.has(name)) films.set(name, []); films.get(name).push(each); }
  for (const some of films.values()) for (const each of some.sort((a, b) => b.seq - a.seq).slice(0, 2)) { if (each.state !== "open") break; found.add(each.name); }
  return found;
}
async function check(all, tell) {
  const files = rooted(all); if (!files) return null;
  let manifest, head;
  try {
    if (files.get("manifest.json").size > 16777216 + 4096 * files.size) return null;
    head = new Uint8Array(await files.get("manifest.json").arrayBuffer()); manifest = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(head));
    if (manifest.format !== "yunjian-package-1" || !manifest.files.every(fitsFile) || new Set(manifest.files.map(each => each.name)).size !== manifest.files.length || !manifest.cameras.every(fitsCamera) || ![manifest.facility, manifest.requested, manifest.actual, manifest.audit].every(each => object(each ?? {}))) return null;
  } catch (error) { return null; }
  const manifestHash = shaOf(head), signature = await readSignature(files, manifestHash), rows = [], problems = [], listed = new Map(manifest.files.map(each => [each.name, each]));
  const todo = manifest.files.filter(each => files.has(each.name)), total = todo.reduce((sum, each) => sum + files.get(each.name).size, 0); let done = 0;
  const seen = new Map(), queue = todo.slice();
  await Promise.all([0, 1, 2].map(async () => { // three at once: one is read while others are hashed
    for (let each; (each = queue.shift());) {
      const file = files.get(each.name), found = { bytes: file.size, sha256: "", digest: "", said: {} }; seen.set(each.name, found);
      if (file.size !== each.bytes) continue;
      try { [found.sha256, found.digest] = await digest(file, count => tell(done += count, total), String(each.digest).startsWith("sm3:")); if (each.kind === "segment") found.said = await saidIn(file); } catch (error) { problems.push(["unread", { p: each.name }]); }
    }
  }));
  const sorted = [...manifest.files.map(each => [each.name, each.sha256]), ["manifest.json", manifestHash]].map(([name, sum]) => `${sum}  ${name}`).sort((a, b) => a.slice(66) < b.slice(66) ? -1 : 1).join("\n").split("\n");
  const sums = files.has("SHA256SUMS") ? (await files.get("SHA256SUMS").text()).trimEnd().split("\n") : [];
  if (sums.length !== sorted.length || new Set([...sums, ...sorted]).size !== sorted.length) problems.push(["sums", {}]);
  if (signature && !signature.good) problems.push(["manifestFile", {}]);
  const chains = [], key = signature && signature.good ? signature.key : null;
  for (const each of manifest.files) if (each.kind === "proof" && files.has(each.name)) chains.push(await checkProof(manifest, await files.get(each.name).text(), seen, key));
  const films = new Map(manifest.cameras.map(each => [JSON.stringify([each.id, each.stream]), each])), filmOf = each => films.get(JSON.stringify([each.camera, each.stream])), chainOf = film => film && chains.findLast(each => each.camera === film.uuid && each.stream === film.stream);
  for (const film of manifest.cameras) if (!chainOf(film)) chains.push({ camera: film.uuid, stream: film.stream, standing: "unproved", problem: "", damaged: [], unvouched: [], moved: [], linked: new Set(), absent: [] });
  const marks = new Map(chains.map(chain => [chain, [new Set(chain.unvouched), new Set(chain.damaged)]]));
  for (const each of manifest.files) {
    const found = seen.get(each.name), chain = each.kind === "segment" ? chainOf(filmOf(each)) : null;
    let standing = !found ? "missing" : found.bytes !== each.bytes || found.sha256 !== each.sha256 ? "altered" : each.as_recorded === false ? "not_as_recorded" : "good";
    if (each.kind === "segment" && (standing === "good" || standing === "not_as_recorded")) {
      if (chain && marks.get(chain)[0].has(each.seq)) standing = "unvouched";
      else if (chain && marks.get(chain)[1].has(each.seq)) standing = "damaged";
      else if (standing === "good" && !(chain && (chain.standing === "broken" || chain.standing === "unproved" || chain.linked.has(each.seq)))) standing = "unlinked";
    }
    rows.push({ name: each.name, each, standing });
  }
  for (const [name, file] of files) if (!listed.has(name) && !UNLISTED.includes(name) && !CLUTTER.includes(name.split("/").pop())) rows.push({ name, each: { bytes: file.size }, standing: "extra" });
  const fresh = live(manifest), used = new Set(manifest.files.filter(each => each.kind === "segment").map(filmOf)), wrong = new Set(["altered", "missing", "extra", "not_as_recorded"]);
  const bad = problems.length || rows.some(row => wrong.has(row.standing)) || chains.some(each => each.standing === "broken");
  const partly = rows.some(row => (row.standing === "unvouched" || row.standing === "unlinked") && !fresh.has(row.name)) || [...used].some(film => film && ["doubtful", "unproved"].includes(chainOf(film).standing));
  return { manifest, rows, chains, problems, signature, verdict: bad ? "broken" : !signature ? "unsigned" : partly ? "incomplete" : "consistent" };
}
