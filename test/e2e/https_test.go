package e2e_test

import (
	"encoding/pem"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
)

// TestHTTPS: an https remote with a password, signed by an authority of one's own;
// without that authority the reason and the remedy are said.
func TestHTTPS(t *testing.T) {
	w := newWorld(t, cluster)
	ns := w.namespace(t, "https")
	plain, err := url.Parse(w.remote.URL)
	must(t, err)
	front := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: plain.Host})
	}})
	t.Cleanup(front.Close)
	w.options.Repo = front.URL + plain.Path

	k := w.start(t)
	awaitNotReady(t, k, "git-writer", "x509", "SSL_CERT_FILE")
	stop(t, k)

	ca := w.file(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})))
	w.options.Env = append(w.options.Env, "SSL_CERT_FILE="+ca)
	w.startReady(t)
	w.apply(t, sample(sampleConfigMap, ns, 1))
	w.settle(t, scope())
	files, err := w.remote.Files("live/" + ns)
	if must(t, err); len(files) != 1 {
		t.Errorf("of %s there is %v on the remote", ns, files)
	}
}
