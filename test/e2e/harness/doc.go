// Package harness runs kubescribe's programs on real parts and judges the result
// by oracles that share no code with them. Tests and the demonstration use it,
// so nothing here needs a *testing.T.
//
//	ControlPlane  a real kube-apiserver, killed and restarted at will
//	Remote        a bare repository behind canonical git's smart HTTP
//	Daemon        a program under test: its log, its /readyz, its death
//	History       what stock git says is in a branch
//	Compare       whether a base folder and a cluster say the same
//	Burst         many writes, and what the API server answered to each
//
// Waiting is always polling for a condition until a context ends.
package harness
