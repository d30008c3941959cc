// Package e2e proves kubescribe from outside: the built programs as processes, a
// real kube-apiserver with its controllers, real Git servers, a real NATS
// server. Nothing of services/ is imported and nothing is faked.
//
// The oracles share no code with what they judge: the API server's own answers
// and audit log say what was written, stock git says what is in history, and
// [harness.Compare] says whether the two agree. A crash is SIGKILL.
//
// The programs are those in bin/ of the repository: `make build` puts them there.
package e2e
