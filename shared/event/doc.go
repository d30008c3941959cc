// Package event is what crosses the bus: the envelope of a change, the MARK
// that closes a lane's part of a run, control requests, and the JSON records of
// the key-value buckets. It is the contract between services, so it has a
// version, golden files under testdata that are never edited once released, and
// nothing but the standard library under it.
//
// A change travels as a NATS message whose headers are the envelope and whose
// body is the canonical manifest, byte for byte as it will stand in Git: the
// stock nats client shows a person what happened.
//
// Consumers are deployed before producers: a reader that meets a version newer
// than [Version] returns [ErrNewerVersion] and its hop stalls until it is
// upgraded; it never guesses and never dead-letters such a message.
package event
