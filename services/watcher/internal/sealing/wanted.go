package sealing

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/seal"
	"github.com/kubescribe/kubescribe/shared/secret"
)

// wanted are the Secrets that destinations name, each with the remotes that it may open, but
// for those to skip.
func wanted(destinations []event.Destination, skip func(secret string) bool) map[event.DestinationKey][]string {
	want := map[event.DestinationKey][]string{}
	for _, d := range destinations {
		if d.Credentials != "" && (skip == nil || !skip(d.Credentials)) {
			k, err := event.ParseDestinationKey(d.Credentials)
			if err != nil {
				continue // the registry makes none such
			}
			want[k] = append(want[k], d.URL)
		}
	}
	for k, remotes := range want {
		slices.Sort(remotes)
		want[k] = slices.Compact(remotes)
	}
	return want
}

// sealable is what of a Secret is sealed.
func sealable(k event.DestinationKey, remotes []string, s *corev1.Secret) seal.Secret {
	return seal.Secret{Name: k.String(), Remotes: remotes, Data: secret.Select(s.Data)}
}

// source differs where what is sealed may: the version of the Secret, not what is in it, of
// which even a digest would let a password be guessed; the remotes, the recipient, and which
// keys are handed on, because a newer watcher may hand on more.
func source(s *corev1.Secret, what seal.Secret, to *seal.Recipient) (string, error) {
	of, err := json.Marshal([]any{s.UID, s.ResourceVersion, what.Name, what.Remotes, slices.Sorted(maps.Keys(what.Data)), to.String()})
	if err != nil {
		return "", fmt.Errorf("sealing: %w", err)
	}
	sum := sha256.Sum256(of)
	return hex.EncodeToString(sum[:]), nil
}
