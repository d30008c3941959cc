package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"sigs.k8s.io/yaml"
)

// TestBus: with the stock NATS client, anybody who may read nats.json in the data
// directory sees a change go by: YAML, headers that people can read, and a
// subject that is keyed by destination.
func TestBus(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "bus")
	w.options.Args = []string{"--namespace", ns}
	w.startReady(t)
	w.settle(t, scope(ns))

	var access struct{ URL, User, Password string }
	b, err := os.ReadFile(filepath.Join(w.options.DataDir, "nats.json"))
	must(t, err)
	must(t, json.Unmarshal(b, &access))
	nc, err := nats.Connect(access.URL, nats.UserInfo(access.User, access.Password))
	must(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	must(t, err)

	streams := map[string]string{"KS_LIVE": "ks.live.d.>", "KS_WRITE": "ks.write.d.>"}
	messages := map[string]jetstream.MessagesContext{}
	for stream, filter := range streams {
		c, err := js.OrderedConsumer(within(t, stepLimit), stream, jetstream.OrderedConsumerConfig{
			FilterSubjects: []string{filter}, DeliverPolicy: jetstream.DeliverNewPolicy,
		})
		must(t, err)
		messages[stream], err = c.Messages()
		must(t, err)
		t.Cleanup(messages[stream].Stop)
		_, err = c.Info(within(t, stepLimit)) // it stands: what comes from now on is for it
		must(t, err)
	}
	written := w.apply(t, configMap(ns, "seen", "on the bus"))

	for stream := range streams {
		var m jetstream.Msg
		for m == nil || m.Headers().Get("Ks-Name") != "seen" { // but what is of the run at the start
			var err error
			if m, err = messages[stream].Next(jetstream.NextContext(within(t, stepLimit))); err != nil {
				t.Fatalf("%s: %v", stream, err)
			}
		}
		h := m.Headers()
		for name, want := range map[string]string{
			"Ks-Kind": "change", "Ks-Op": "CREATE", "Ks-Cluster": "e2e", "Ks-Resource": "configmaps", "Ks-Object-Kind": "ConfigMap",
			"Ks-Namespace": ns, "Ks-Name": "seen", "Ks-Resource-Version": written.Version, "Ks-Origin": "live",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: header %s is %q, want %q", stream, name, got, want)
			}
		}
		var body struct {
			Kind string
			Data map[string]string
		}
		if err := yaml.Unmarshal(m.Data(), &body); err != nil || body.Kind != "ConfigMap" || body.Data["value"] != "on the bus" {
			t.Errorf("%s: the body is %q, %v, want YAML of the ConfigMap", stream, m.Data(), err)
		}
		// ks.live.d.<part>.<shard>.<cluster>.<ns>.<name>, ks.write.d.<shard>.<branch>.<cluster>.<ns>.<name>
		tokens := strings.Split(m.Subject(), ".")
		if len(tokens) != 8 || tokens[5] != "e2e" || tokens[6] != "default" || !strings.HasPrefix(tokens[7], "live") {
			t.Errorf("%s: the subject is %s, want its end to name the destination", stream, m.Subject())
		}
	}
}
