// Makes random GPP and TC strings with the official encoders, and what the official decoders read from them.
//
//   npm install --prefix DIR @iabgpp/cmpapi@3.2.0 @iabtcf/core@1.5.6
//   node generate.mjs DIR SEED COUNT > vectors.json
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [dir, seed, count] = [resolve(process.argv[2]), Number(process.argv[3]), Number(process.argv[4])];
const require = createRequire(join(dir, "x.js"));
const official = join(dir, "node_modules/@iabgpp/cmpapi/lib/cjs/encoder");
const { GppModel } = require(join(official, "GppModel.js"));
const { RangeEntry } = require(join(official, "datatype/RangeEntry.js"));
const { GVL, TCModel, TCString, PurposeRestriction } = require("@iabtcf/core");

let state = seed;
/** A number from 0 to below n (mulberry32). */
function below(n) {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * n);
}
const coin = () => below(2) === 1;
const bits = (n) => Array.from({ length: n }, coin);
const letters = () => String.fromCharCode(65 + below(26), 65 + below(26));
const set = (flags) => flags.flatMap((flag, at) => (flag ? [at + 1] : []));
const day = () => new Date(below(30000) * 86400000);

function ids(most, clusters) {
  const found = new Set();
  for (let i = 0; i < clusters; i++) {
    const first = 1 + below(most);
    const last = Math.min(65535, first + (below(3) ? 0 : below(12)));
    for (let id = first; id <= last; id++) found.add(id);
  }
  return [...found].sort((a, b) => a - b);
}
const vendors = () => [() => [], () => ids(40, 15), () => ids(1500, 6), () => ids(120, 30), () => ids(65535, 3)][below(5)]();

/** Field by field: booleans, two-bit values and lists of them as the model has them by default. */
function fillUs(gpp, name) {
  gpp.setFieldValue(name, "Version", name === "usnat" ? 1 + below(2) : 1);
  for (const [field, value] of Object.entries(gpp.getSection(name))) {
    if (field === "Version" || field === "GpcSegmentType") continue;
    const random =
      typeof value === "boolean" ? coin()
      : Array.isArray(value) ? value.map(() => below(3))
      : field === "MspaCoveredTransaction" ? 1 + below(2)
      : below(3);
    gpp.setFieldValue(name, field, random);
  }
  if (gpp.hasField(name, "GpcSegmentType")) gpp.setFieldValue(name, "GpcSegmentIncluded", below(4) > 0);
}

function fillTcf(gpp) {
  const put = (field, value) => gpp.setFieldValue("tcfeuv2", field, value);
  for (const [field, most] of [["CmpId", 4096], ["CmpVersion", 4096], ["ConsentScreen", 64], ["VendorListVersion", 4096], ["PolicyVersion", 64]])
    put(field, below(most));
  put("ConsentLanguage", letters());
  put("PublisherCountryCode", letters());
  put("UseNonStandardStacks", coin());
  put("PurposeOneTreatment", coin());
  put("SpecialFeatureOptins", bits(12));
  for (const field of ["PurposeConsents", "PurposeLegitimateInterests", "PublisherConsents", "PublisherLegitimateInterests"]) put(field, bits(24));
  for (const field of ["VendorConsents", "VendorLegitimateInterests", "VendorsDisclosed"]) put(field, vendors());
  put("PublisherRestrictions", Array.from({ length: below(4) }, () => new RangeEntry(1 + below(24), below(3), ids(2000, 5))));
  const own = below(64);
  put("NumCustomPurposes", own);
  put("PublisherCustomConsents", bits(own));
  put("PublisherCustomLegitimateInterests", bits(own));
  put("Created", day());
}

/** What the official decoder read, in the specification's names. */
function tcfOfModel(s) {
  return {
    Version: s.Version,
    Created: s.Created.toISOString(),
    LastUpdated: s.LastUpdated.toISOString(),
    CmpId: s.CmpId,
    CmpVersion: s.CmpVersion,
    ConsentScreen: s.ConsentScreen,
    ConsentLanguage: s.ConsentLanguage,
    VendorListVersion: s.VendorListVersion,
    TcfPolicyVersion: s.PolicyVersion,
    IsServiceSpecific: s.IsServiceSpecific,
    UseNonStandardTexts: s.UseNonStandardStacks,
    SpecialFeatureOptIns: set(s.SpecialFeatureOptins),
    PurposesConsent: set(s.PurposeConsents),
    PurposesLITransparency: set(s.PurposeLegitimateInterests),
    PurposeOneTreatment: s.PurposeOneTreatment,
    PublisherCC: s.PublisherCountryCode,
    VendorConsent: s.VendorConsents,
    VendorLI: s.VendorLegitimateInterests,
    PublisherRestrictions: s.PublisherRestrictions.map((r) => ({ PurposeId: r.key, RestrictionType: r.type, VendorIds: r.ids })),
    DisclosedVendors: s.VendorsDisclosed,
    PublisherTC: {
      PubPurposesConsent: set(s.PublisherConsents),
      PubPurposesLITransparency: set(s.PublisherLegitimateInterests),
      NumCustomPurposes: s.NumCustomPurposes,
      CustomPurposesConsent: set(s.PublisherCustomConsents),
      CustomPurposesLI: set(s.PublisherCustomLegitimateInterests),
    },
  };
}

function usOfModel(name, gpp) {
  const fields = {};
  for (const field of Object.keys(gpp.getSection(name))) {
    if (field !== "GpcSegmentType" && field !== "GpcSegmentIncluded") fields[field] = gpp.getFieldValue(name, field);
  }
  // The model answers `false` for a subsection that is not there.
  if (!textOf(gpp, name).includes(".")) delete fields.Gpc;
  return fields;
}

const textOf = (gpp, name) => gpp.encode().split("~")[1 + gpp.getSectionIds().indexOf(ID[name])];

const ID = { tcfeuv2: 2, tcfcav1: 5, uspv1: 6, usnat: 7, usca: 8, usva: 9, usco: 10, usut: 11, usct: 12, usfl: 13, usmt: 14, usor: 15, ustx: 16, usde: 17, usia: 18, usne: 19, usnh: 20, usnj: 21, ustn: 22, usmn: 23, usmd: 24, usin: 25, usky: 26, usri: 27 };
const OPAQUE = { tcfcav1: "unknown", usmd: "disputed", usin: "disputed", usky: "disputed", usri: "disputed" };
const names = Object.keys(ID);

function gppVector(at) {
  const gpp = new GppModel();
  const chosen = at < names.length ? [names[at]] : [...new Set(Array.from({ length: 1 + below(7) }, () => names[below(names.length)]))];
  for (const name of chosen) {
    if (name === "tcfeuv2") fillTcf(gpp);
    else if (name === "tcfcav1") gpp.setFieldValue(name, "CmpId", below(4096));
    else if (name in OPAQUE) gpp.setFieldValue(name, "MspaCoveredTransaction", 1 + below(2));
    else if (name === "uspv1") for (const field of ["Notice", "OptOutSale", "LspaCovered"]) gpp.setFieldValue(name, field, "YN-"[below(3)]);
    else fillUs(gpp, name);
  }
  const string = gpp.encode();
  const read = new GppModel(string);
  const sections = {};
  for (const name of chosen) {
    if (name in OPAQUE) sections[name] = { Raw: textOf(read, name), Status: OPAQUE[name] };
    else if (name === "tcfeuv2") sections[name] = tcfOfModel(read.getSection(name));
    else if (name === "uspv1") sections[name] = read.getSection(name);
    else sections[name] = usOfModel(name, read);
  }
  return { encoder: "@iabgpp/cmpapi", string, sections };
}

/** A vendor list that lets each of its vendors have each bit: the TCF's own library drops the others. */
function vendorList(listed) {
  const named = (most) => Object.fromEntries(Array.from({ length: most }, (_, at) => [at + 1, { id: at + 1, name: `${at + 1}`, description: "" }]));
  const vendor = (id) => ({ id, name: `${id}`, purposes: [2], legIntPurposes: [7], flexiblePurposes: [2, 7], specialPurposes: [], features: [], specialFeatures: [] });
  const vendors = Object.fromEntries(listed.map((id) => [id, vendor(id)]));
  return new GVL({ gvlSpecificationVersion: 3, vendorListVersion: 1 + below(4000), tcfPolicyVersion: 4 + below(2), lastUpdated: "2026-01-01T00:00:00Z", purposes: named(11), specialPurposes: named(3), features: named(3), specialFeatures: named(2), stacks: {}, dataCategories: {}, vendors });
}

/** A bare TC string of the TCF's own library, which fills and orders otherwise than the GPP library. */
function tcVector() {
  const listed = [() => ids(40, 15), () => ids(1500, 8), () => ids(65535, 4)][below(3)]();
  const some = () => listed.filter(coin);
  const model = new TCModel(vendorList(listed));
  Object.assign(model, { cmpId: 2 + below(4000), cmpVersion: 2 + below(4000), consentScreen: below(64), isServiceSpecific: true });
  Object.assign(model, { useNonStandardStacks: coin(), purposeOneTreatment: coin(), publisherCountryCode: letters() });
  model.created = day();
  model.lastUpdated = model.created;
  model.specialFeatureOptins.set(set(bits(12)));
  model.purposeConsents.set(set(bits(24)));
  model.purposeLegitimateInterests.set(set(bits(24)));
  model.vendorConsents.set(some());
  model.vendorLegitimateInterests.set(some());
  for (const vendor of some().slice(0, 9)) model.publisherRestrictions.add(vendor, new PurposeRestriction(coin() ? 2 : 7, below(3)));
  model.publisherConsents.set(set(bits(24)));
  model.publisherLegitimateInterests.set(set(bits(24)));
  model.numCustomPurposes = below(64);
  model.publisherCustomConsents.set(set(bits(model.numCustomPurposes)));
  // Left alone it writes TCF 2.2, without the disclosed vendors.
  const rest = [["vendorsDisclosed", "publisherTC"], ["publisherTC", "vendorsDisclosed"], ["publisherTC"], ["vendorsDisclosed"], []][below(5)];
  const string = TCString.encode(model, { segments: ["core", ...rest] });
  const read = tcfOfCore(TCString.decode(string));
  if (!rest.includes("vendorsDisclosed")) delete read.DisclosedVendors;
  if (!rest.includes("publisherTC")) delete read.PublisherTC;
  return { encoder: "@iabtcf/core", string, sections: { tcfeuv2: read } };
}

function tcfOfCore(s) {
  const all = (vector) => [...vector].filter(([, has]) => has).map(([id]) => id);
  const restriction = (r) => ({ PurposeId: r.purposeId, RestrictionType: r.restrictionType, VendorIds: s.publisherRestrictions.getVendors(r) });
  return {
    Version: s.version,
    Created: s.created.toISOString(),
    LastUpdated: s.lastUpdated.toISOString(),
    CmpId: s.cmpId,
    CmpVersion: s.cmpVersion,
    ConsentScreen: s.consentScreen,
    ConsentLanguage: s.consentLanguage,
    VendorListVersion: s.vendorListVersion,
    TcfPolicyVersion: s.policyVersion,
    IsServiceSpecific: s.isServiceSpecific,
    UseNonStandardTexts: s.useNonStandardStacks,
    SpecialFeatureOptIns: all(s.specialFeatureOptins),
    PurposesConsent: all(s.purposeConsents),
    PurposesLITransparency: all(s.purposeLegitimateInterests),
    PurposeOneTreatment: s.purposeOneTreatment,
    PublisherCC: s.publisherCountryCode,
    VendorConsent: all(s.vendorConsents),
    VendorLI: all(s.vendorLegitimateInterests),
    PublisherRestrictions: s.publisherRestrictions.getRestrictions().map(restriction),
    DisclosedVendors: all(s.vendorsDisclosed),
    PublisherTC: {
      PubPurposesConsent: all(s.publisherConsents),
      PubPurposesLITransparency: all(s.publisherLegitimateInterests),
      NumCustomPurposes: s.numCustomPurposes,
      CustomPurposesConsent: all(s.publisherCustomConsents),
      CustomPurposesLI: all(s.publisherCustomLegitimateInterests),
    },
  };
}

const vectors = Array.from({ length: count }, (_, at) => (at % 5 === 4 ? tcVector() : gppVector(at - Math.floor(at / 5))));
process.stdout.write("[\n" + vectors.map((vector) => JSON.stringify(vector)).join(",\n") + "\n]\n");
