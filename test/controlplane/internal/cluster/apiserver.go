package cluster

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

//go:embed audit-policy.yaml
var auditPolicy []byte

const readyTimeout = 2 * time.Minute

// startAPIServer runs kube-apiserver on the listener. Use waitReady before using it.
func startAPIServer(st *state, listener net.Listener, audit bool) (*task, error) {
	files := map[string][]byte{
		"tokens.csv":          tokenFile(st),
		"apiserver.crt":       st.ServingCert,
		"apiserver.key":       st.ServingKey,
		"service-account.key": st.ServiceAccountKey,
		"audit-policy.yaml":   auditPolicy,
	}
	for name, data := range files {
		if err := writeFile(name, data); err != nil {
			return nil, err
		}
	}
	// The server's own clients name themselves, and the field managers of what
	// they write, after the program.
	os.Args[0] = "kube-apiserver"
	rest.SetDefaultWarningHandler(rest.NoWarnings{})

	opts := options.NewServerRunOptions()
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, fs := range opts.Flags().FlagSets {
		flags.AddFlagSet(fs)
	}
	if err := flags.Parse(apiServerArgs(audit)); err != nil {
		return nil, err
	}
	opts.SecureServing.Listener = listener
	opts.SecureServing.BindPort = st.Port
	if err := opts.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return nil, err
	}
	return startTask(func(ctx context.Context) error {
		completed, err := opts.Complete(ctx)
		if err != nil {
			return err
		}
		if errs := completed.Validate(); len(errs) > 0 {
			return utilerrors.NewAggregate(errs)
		}
		return app.Run(ctx, completed)
	}), nil
}

// apiServerArgs returns the command line of kube-apiserver; what is not named
// here has its default.
func apiServerArgs(audit bool) []string {
	args := []string{
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none", // Endpoints may not point to a loopback address
		"--etcd-servers=" + etcdURL.String(),
		"--service-cluster-ip-range=10.0.0.0/16",
		"--authorization-mode=RBAC",
		"--allow-privileged=true",
		"--max-requests-inflight=1600",
		"--max-mutating-requests-inflight=800",
		"--disable-admission-plugins=ServiceAccount", // nothing creates service accounts
		"--token-auth-file=tokens.csv",
		"--tls-cert-file=apiserver.crt",
		"--tls-private-key-file=apiserver.key",
		"--shutdown-send-retry-after=true",             // with the next one: open watches
		"--shutdown-watch-termination-grace-period=1s", // do not hold up stopping for a minute
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=service-account.key",
		"--service-account-signing-key-file=service-account.key",
	}
	if audit {
		args = append(args,
			"--audit-policy-file=audit-policy.yaml",
			"--audit-log-path=audit.log",
			"--audit-log-maxsize=10240", // MiB: readers rely on one file
		)
	}
	return args
}

// waitReady returns nil once /readyz says ok, the namespaces default and
// kube-system exist, and a ConfigMap would be created. That last check is a dry
// run: clients that watch over a restart see no object come and go.
func waitReady(ctx context.Context, st *state, server *task) error {
	cfg := st.restConfig(adminUser)
	cfg.UserAgent = "controlplane-ready"
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		select {
		case <-server.done:
			return false, server.err
		default:
		}
		last = probe(ctx, client)
		return last == nil, nil
	})
	if wait.Interrupted(err) {
		return fmt.Errorf("not ready after %s: %w", readyTimeout, last)
	}
	return err
}

func probe(ctx context.Context, client kubernetes.Interface) error {
	if err := client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
		return err
	}
	for _, ns := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem} {
		if _, err := client.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{}); err != nil {
			return err
		}
	}
	_, err := client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Create(ctx,
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "controlplane-ready-"}},
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}
