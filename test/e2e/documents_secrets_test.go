package e2e_test

import (
	"strings"
	"testing"
)

// TestDocumentsSecrets: a destination that selects Secrets and names nobody who could read them says
// so, and says it no more once it does; a tenant's Secrets are for that tenant, whose documents get
// at no other's; and no value is in a status or an Event.
func TestDocumentsSecrets(t *testing.T) {
	long(t)
	t.Parallel()
	w := withDefinitions(t)
	shop, team := w.namespace(t, "shop"), w.namespace(t, "team")
	seller, player := newReader(t, w, "seller"), newReader(t, w, "player")
	values := map[string]string{shop: "correct-horse-battery", team: "staple-at-midnight"}
	for namespace, value := range values {
		w.apply(t, secret(namespace, "db", value))
		w.apply(t, configMap(namespace, "clear", inClear))
		w.apply(t, resource("GitRemote", namespace, "git", "{url: \""+w.remote.URL+"\"}"))
		w.apply(t, resource("GitDestination", namespace, "live", "{remoteRef: {name: git}, baseFolder: live/"+namespace+"}"))
		w.apply(t, resource("WatchRule", namespace, "all", `{destinationRef: {name: live}, rules: [{apiGroups: [""], resources: [configmaps, secrets], names: [clear, db]}]}`))
	}
	k := w.start(t)
	for namespace := range values {
		w.awaitCondition(t, namespace, "gitdestination/live", "SecretsWithheld", "True", "spec.encryption.recipients")
	}
	plain := func(namespace string) string {
		return "live/" + namespace + "/" + namespace + "/configmaps/clear.yaml"
	}
	encrypted := func(namespace string) string {
		return "live/" + namespace + "/" + namespace + "/secrets/db.sops.yaml"
	}
	w.inGit(t, plain(shop), plain(team))
	for namespace, of := range map[string]reader{shop: seller, team: player} {
		w.apply(t, resource("GitDestination", namespace, "live", "{remoteRef: {name: git}, baseFolder: live/"+namespace+", encryption: {recipients: ["+of.recipient+"]}}"))
	}
	w.inGit(t, plain(shop), encrypted(shop), plain(team), encrypted(team))
	for namespace := range values {
		w.awaitShown(t, "none", "get", "gitdestination", "live", "-n", namespace, "-o", `jsonpath=none{.status.conditions[?(@.type=="SecretsWithheld")].message}`)
	}
	// What team would have to write to get at shop's: none of it is taken, or selects any.
	w.apply(t, resource("WatchRule", team, "astray", `{destinationRef: {namespace: `+shop+`, name: live}, rules: [{apiGroups: [""], resources: [secrets]}]}`))
	w.awaitCondition(t, team, "watchrule/astray", "Ready", "False", "admit")
	w.sentinelFile(t, shop, "clear")
	w.inGit(t, plain(shop), encrypted(shop), plain(team), encrypted(team))
	files, err := w.remote.Files("live")
	must(t, err)
	if _, err := seller.decrypt(files[encrypted(shop)].Content); err != nil {
		t.Error(err)
	}
	for file, others := range map[string]reader{encrypted(shop): player, encrypted(team): seller} {
		if _, err := others.decrypt(files[file].Content); err == nil {
			t.Errorf("%s is read by another tenant", file)
		}
	}
	all := w.kube(t, "get", "gitremotes,gitdestinations,watchrules,clusterwatchrules,events", "-A", "-o", "yaml")
	for _, value := range values {
		if strings.Contains(all, value) {
			t.Errorf("a custom resource or an Event holds %q", value)
		}
	}
	searchEverywhere(t, w, k, []string{values[shop], values[team]})
	stop(t, k)
}
