// Draws an EC P-256 key: the private JWK into the first file, the public JWK set into the second.

import { writeFile } from 'node:fs/promises';

const [privateFile, publicFile] = process.argv.slice(2);
const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
const pair = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
const kid = crypto.randomUUID();
const exported = async (key) => {
  const { ext, key_ops, ...jwk } = await crypto.subtle.exportKey('jwk', key);
  return { ...jwk, kid, use: 'sig', alg: 'ES256' };
};
await writeFile(privateFile, JSON.stringify(await exported(pair.privateKey)), { mode: 0o600 });
await writeFile(publicFile, JSON.stringify({ keys: [await exported(pair.publicKey)] }));
