// Package manifest makes what stands in Git of an object: its canonical bytes,
// their content hash, and the path of its file. Every role uses this encoder
// and no other, so comparing hashes is comparing intent.
//
// The way of an object, as apimachinery's unstructured JSON decodes it:
//
//	Sanitize ── bookkeeping goes, intent and everything unknown stays
//	Encode   ── one sequence of bytes per object, for ever
//	Hash     ── the Git blob id of these bytes
//
// Promises, held by the golden corpus under testdata and by the fuzz targets:
//
//   - The same object gives the same bytes, on every machine and in every
//     release of one [Generation].
//   - Encode is exact: [Decode] of the bytes is the object as a JSON round trip
//     leaves it, and Encode of that is the same bytes again.
//   - Sanitize is idempotent and never changes its input.
//   - Paths are injective, reversible but for over-long names, and can be checked
//     out on Linux, macOS and Windows.
//   - Errors name fields and never hold values: an object may be a Secret.
//
// Nothing here does I/O or knows Kubernetes types beyond map[string]any,
// []any, string, bool, int64, float64 and nil.
package manifest
