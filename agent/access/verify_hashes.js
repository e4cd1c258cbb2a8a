"use strict"; // of the page that checks a package (verify.html): hashes and signatures, for browsers that have none
// ---- hashes -------------------------------------------------------------------------------------------------------
const K = new Uint32Array(64);
const H0 = new Uint32Array(8);
{
  const primes = []; for (let n = 2; primes.length < 80; n++) if (primes.every(p => n % p)) primes.push(n);
  const root = (n, k, bits) => { // the first bits of the fraction of the k-th root of n
    const big = BigInt(n) << BigInt(bits * k); let low = 0n, high = 1n << BigInt(bits + 5);
    while (high - low > 1n) { const mid = (low + high) >> 1n; if (mid ** BigInt(k) <= big) low = mid; else high = mid; }
    return low & ((1n << BigInt(bits)) - 1n);
  };
  for (let i = 0; i < 64; i++) K[i] = Number(root(primes[i], 3, 32));
  for (let i = 0; i < 8; i++) H0[i] = Number(root(primes[i], 2, 32));
  var K512 = primes.map(p => root(p, 3, 64)), H512 = primes.slice(0, 8).map(p => root(p, 2, 64));
}
class Hash { // of blocks of 64 bytes and sums of 32 bits, fed piece by piece
  constructor(h, words) { this.h = h; this.kept = new Uint8Array(64); this.at = 0; this.length = 0; this.w = new Uint32Array(words); }
  update(data) {
    this.length += data.length; let from = 0;
    if (this.at) { const take = Math.min(64 - this.at, data.length); this.kept.set(data.subarray(0, take), this.at); this.at += take; from = take;
      if (this.at === 64) { this.block(this.kept, 0); this.at = 0; } }
    for (; from + 64 <= data.length; from += 64) this.block(data, from);
    if (from < data.length) { this.kept.set(data.subarray(from), 0); this.at = data.length - from; }
    return this;
  }
  hex() {
    const bits = this.length, tail = new Uint8Array((this.at < 56 ? 64 : 128) - this.at); tail[0] = 0x80;
    const view = new DataView(tail.buffer); view.setUint32(tail.length - 8, Math.floor(bits / 0x20000000)); view.setUint32(tail.length - 4, bits * 8 >>> 0);
    this.update(tail); return [...this.h].map(n => n.toString(16).padStart(8, "0")).join("");
  }
}
class Sha256 extends Hash {
  constructor() { super(H0.slice(), 64); }
  block(d, o) {
    const w = this.w, h = this.h;
    for (let i = 0; i < 16; i++, o += 4) w[i] = d[o] << 24 | d[o + 1] << 16 | d[o + 2] << 8 | d[o + 3];
    for (let i = 16; i < 64; i++) { const a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + w[i - 7] + ((a >>> 7 | a << 25) ^ (a >>> 18 | a << 14) ^ a >>> 3) + ((b >>> 17 | b << 15) ^ (b >>> 19 | b << 13) ^ b >>> 10); }
    let a = h[0], b = h[1], c = h[2], e = h[4], f = h[5], g = h[6], p = h[7], q = h[3];
    for (let i = 0; i < 64; i++) {
      const one = p + ((e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7)) + (e & f ^ ~e & g) + K[i] + w[i] | 0;
      const two = ((a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10)) + (a & b ^ a & c ^ b & c) | 0;
      p = g; g = f; f = e; e = q + one | 0; q = c; c = b; b = a; a = one + two | 0;
    }
    h[0] += a; h[1] += b; h[2] += c; h[3] += q; h[4] += e; h[5] += f; h[6] += g; h[7] += p;
  }
}
class Sm3 extends Hash { // GB/T 32905
  constructor() { super(Uint32Array.of(0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e), 68); }
  block(data, o) {
    const turn = (x, n) => (n &= 31) ? x << n | x >>> 32 - n : x, w = this.w, v = this.h;
    for (let j = 0; j < 16; j++, o += 4) w[j] = data[o] << 24 | data[o + 1] << 16 | data[o + 2] << 8 | data[o + 3];
    for (let j = 16; j < 68; j++) { const x = w[j - 16] ^ w[j - 9] ^ turn(w[j - 3], 15); w[j] = x ^ turn(x, 15) ^ turn(x, 23) ^ turn(w[j - 13], 7) ^ w[j - 6]; }
    let [a, b, c, d, e, f, g, h] = v;
    for (let j = 0; j < 64; j++) {
      const s1 = turn(turn(a, 12) + e + turn(j < 16 ? 0x79cc4519 : 0x7a879d8a, j) | 0, 7), s2 = s1 ^ turn(a, 12);
      const t1 = (j < 16 ? a ^ b ^ c : a & b | a & c | b & c) + d + s2 + (w[j] ^ w[j + 4]) | 0, t2 = (j < 16 ? e ^ f ^ g : e & f | ~e & g) + h + s1 + w[j] | 0;
      d = c; c = turn(b, 9); b = a; a = t1; h = g; g = turn(f, 19); f = e; e = t2 ^ turn(t2, 9) ^ turn(t2, 17);
    }
    [a, b, c, d, e, f, g, h].forEach((x, i) => { v[i] ^= x; });
  }
}
const sm3 = data => new Sm3().update(data).hex();
function sha512(data) {
  const mask = (1n << 64n) - 1n, turn = (x, n) => (x >> n | x << 64n - n) & mask, size = Math.ceil((data.length + 17) / 128) * 128, m = new Uint8Array(size), view = new DataView(m.buffer), h = H512.slice();
  m.set(data); m[data.length] = 0x80; view.setBigUint64(size - 8, BigInt(data.length) * 8n);
  for (let o = 0; o < size; o += 128) {
    const w = []; for (let i = 0; i < 16; i++) w.push(view.getBigUint64(o + 8 * i));
    for (let i = 16; i < 80; i++) { const a = w[i - 15], b = w[i - 2]; w.push(w[i - 16] + w[i - 7] + (turn(a, 1n) ^ turn(a, 8n) ^ a >> 7n) + (turn(b, 19n) ^ turn(b, 61n) ^ b >> 6n) & mask); }
    let [a, b, c, d, e, f, g, p] = h;
    for (let i = 0; i < 80; i++) {
      const one = p + (turn(e, 14n) ^ turn(e, 18n) ^ turn(e, 41n)) + (e & f ^ (e ^ mask) & g) + K512[i] + w[i], two = (turn(a, 28n) ^ turn(a, 34n) ^ turn(a, 39n)) + (a & b ^ a & c ^ b & c);
      p = g; g = f; f = e; e = d + one & mask; d = c; c = b; b = a; a = one + two & mask;
    }
    [a, b, c, d, e, f, g, p].forEach((x, i) => { h[i] = h[i] + x & mask; });
  }
  const out = new Uint8Array(64); h.forEach((n, i) => new DataView(out.buffer).setBigUint64(8 * i, n)); return out;
}
const bytes = text => new TextEncoder().encode(text);
const hex = data => [...new Uint8Array(data)].map(n => n.toString(16).padStart(2, "0")).join("");
const unbase64 = text => { if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4) throw new Error("base64"); return Uint8Array.from(atob(text), each => each.charCodeAt(0)); };
const shaOf = data => new Sha256().update(data).hex();
const CRYPTO = globalThis.crypto && crypto.subtle;

// ---- Ed25519, RFC 8032; for browsers that have none ----------------------------------------------------------------
const P = (1n << 255n) - 19n, L = (1n << 252n) + 27742317777372353535851937790883648493n;
const mod = (x, m = P) => { const r = x % m; return r < 0n ? r + m : r; };
const power = (x, n) => { let r = 1n; for (x = mod(x); n > 0n; n >>= 1n, x = x * x % P) if (n & 1n) r = r * x % P; return r; };
const D = mod(-121665n * power(121666n, P - 2n)), ROOT = power(2n, (P - 1n) / 4n);
const little = data => data.reduceRight((n, each) => n << 8n | BigInt(each), 0n);
function unpack(data) {
  const n = little(data), odd = n >> 255n, y = n & ((1n << 255n) - 1n); if (y >= P) return null;
  const u = mod(y * y - 1n), v = mod(D * y * y + 1n); let x = u * power(v, 3n) % P * power(u * power(v, 7n), (P - 5n) / 8n) % P;
  if (mod(v * x * x - u)) { x = x * ROOT % P; if (mod(v * x * x - u)) return null; }
  if (!x && odd) return null; if ((x & 1n) !== odd) x = P - x;
  return [x, y, 1n, x * y % P];
}
function plus([a, b, c, d], [e, f, g, h]) {
  const i = mod((b - a) * (f - e)), j = mod((b + a) * (f + e)), k = mod(2n * d * h * D), l = mod(2n * c * g), m = j - i, n = l - k, o = l + k, p = j + i;
  return [mod(m * n), mod(o * p), mod(n * o), mod(m * p)];
}
function times(point, n) { let r = [0n, 1n, 1n, 0n]; for (; n > 0n; n >>= 1n, point = plus(point, point)) if (n & 1n) r = plus(r, point); return r; }
const BASE = unpack(Uint8Array.from({ length: 32 }, (_, i) => i ? 0x66 : 0x58));
function ownVerify(key, signature, text) {
  if (key.length !== 32 || signature.length !== 64) return false;
  const a = unpack(key), r = unpack(signature.subarray(0, 32)), s = little(signature.subarray(32)); if (!a || !r || s >= L) return false;
  const all = new Uint8Array(64 + text.length); all.set(signature.subarray(0, 32)); all.set(key, 32); all.set(text, 64);
  const left = times(BASE, s), right = plus(r, times(a, mod(little(sha512(all)), L)));
  return mod(left[0] * right[2] - right[0] * left[2]) === 0n && mod(left[1] * right[2] - right[1] * left[2]) === 0n;
}
async function verify(key, signature, text) {
  if (CRYPTO && !location.hash.includes("own")) {
    try {
      const imported = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
      return { good: await crypto.subtle.verify({ name: "Ed25519" }, imported, signature, text), own: false };
    } catch (error) { if (error.name !== "NotSupportedError" && error.name !== "SyntaxError") return { good: false, own: false }; }
  }
  return { good: ownVerify(key, signature, text), own: true };
}
