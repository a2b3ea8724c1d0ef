// A stock OAuth 2.0 client (openid-client) against a running gateway: it discovers the server, proves itself with a secret
// and with a key, gets a token that is bound to a key, uses it, is told about it, and takes it back.
//
//   node oauth.mjs URL SECRET_CLIENT SECRET KEY_CLIENT PRIVATE_JWK_FILE
//
// Both clients need the scope rights:read. `run.sh` starts a gateway, registers them and calls this.

import { readFile } from 'node:fs/promises';
import assert from 'node:assert/strict';
import * as client from 'openid-client';

const [url, secretClient, secret, keyClient, keyFile] = process.argv.slice(2);
const issuer = new URL(url);
const options = { algorithm: 'oauth2', execute: [client.allowInsecureRequests] };
const jwk = JSON.parse(await readFile(keyFile, 'utf8'));
const key = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);

// RSA keys of less than 128 bits of strength are refused (NIST SP 800-57).
const strong = { name: 'RSA-PSS', hash: 'SHA-256', modulusLength: 3072, publicExponent: new Uint8Array([1, 0, 1]) };
const pair = (algorithm) => algorithm === 'PS256'
  ? crypto.subtle.generateKey(strong, false, ['sign', 'verify'])
  : client.randomDPoPKeyPair(algorithm);

const ways = {
  'client_secret_basic': [secretClient, client.ClientSecretBasic(secret)],
  'private_key_jwt': [keyClient, client.PrivateKeyJwt({ key, kid: jwk.kid })],
};

for (const [name, [id, authentication]] of Object.entries(ways)) {
  const config = await client.discovery(issuer, id, undefined, authentication, options);
  const list = new URL('/v1/rights-requests', issuer);

  const bearer = await client.clientCredentialsGrant(config, { scope: 'rights:read' });
  assert.equal(bearer.token_type, 'bearer');
  assert.equal((await client.fetchProtectedResource(config, bearer.access_token, list, 'GET')).status, 200);
  console.log(`${name}: bearer token issued and used`);

  for (const algorithm of ['ES256', 'Ed25519', 'ES384', 'PS256']) {
    const DPoP = client.getDPoPHandle(config, await pair(algorithm));
    const bound = await client.clientCredentialsGrant(config, { scope: 'rights:read' }, { DPoP });
    assert.equal(bound.token_type, 'dpop');
    for (let use = 0; use < 3; use++) {
      const answer = await client.fetchProtectedResource(
        config, bound.access_token, list, 'GET', undefined, undefined, { DPoP });
      assert.equal(answer.status, 200);
    }
    // The token alone is worth nothing.
    const stolen = await fetch(list, { headers: { authorization: `Bearer ${bound.access_token}` } });
    assert.equal(stolen.status, 401);
    const other = client.getDPoPHandle(config, await pair(algorithm));
    await assert.rejects(client.fetchProtectedResource(
      config, bound.access_token, list, 'GET', undefined, undefined, { DPoP: other }));

    const known = await client.tokenIntrospection(config, bound.access_token);
    assert.equal(known.active, true);
    assert.equal(known.client_id, id);
    assert.ok(known.cnf.jkt);
    await client.tokenRevocation(config, bound.access_token);
    assert.deepEqual(await client.tokenIntrospection(config, bound.access_token), { active: false });
    await assert.rejects(client.fetchProtectedResource(
      config, bound.access_token, list, 'GET', undefined, undefined, { DPoP }));
    console.log(`${name}: DPoP token (${algorithm}) issued, used, refused without its key, introspected, revoked`);
  }

  const weak = client.getDPoPHandle(config, await client.randomDPoPKeyPair('PS256'));
  await assert.rejects(
    client.clientCredentialsGrant(config, { scope: 'rights:read' }, { DPoP: weak }), { error: 'invalid_dpop_proof' });
  await assert.rejects(client.clientCredentialsGrant(config, { scope: 'profiles:read' }), { error: 'invalid_scope' });
}
console.log('all good');
