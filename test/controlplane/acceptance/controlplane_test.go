// Package acceptance tests the built controlplane from outside: it imports none of
// it, so that its tests build fast.
package acceptance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	startLimit = 2 * time.Minute
	stepLimit  = time.Minute
	stopLimit  = 20 * time.Second
)

// TestControlPlane starts the built binary and checks, as a client, all that it
// promises: a real API server and controllers, restarts that clients survive,
// and clean stops.
func TestControlPlane(t *testing.T) {
	dir := t.TempDir()
	cp := start(t, dir, "--audit")
	client := newClient(t, filepath.Join(dir, "kubeconfig"))

	t.Run("kubeconfig is private and names its context", func(t *testing.T) {
		info, err := os.Stat(filepath.Join(dir, "kubeconfig"))
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, want 0600", info.Mode().Perm())
		}
		cfg, err := clientcmd.LoadFromFile(filepath.Join(dir, "kubeconfig"))
		must(t, err)
		if cfg.CurrentContext != "kubescribe-demo" {
			t.Errorf("context %q, want kubescribe-demo", cfg.CurrentContext)
		}
	})

	t.Run("the server is Kubernetes v1.37.2", func(t *testing.T) {
		v, err := client.Discovery().ServerVersion()
		must(t, err)
		if v.GitVersion != "v1.37.2" || v.Major != "1" || v.Minor != "37" {
			t.Errorf("server version %+v", v)
		}
	})

	t.Run("the limited user may do nothing", func(t *testing.T) {
		limited := newClient(t, filepath.Join(dir, "kubeconfig-unprivileged"))
		_, err := limited.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
		if !apierrors.IsForbidden(err) {
			t.Errorf("listing ConfigMaps: %v, want forbidden", err)
		}
	})

	t.Run("a deleted Deployment takes its ReplicaSet along", func(t *testing.T) {
		deployments := client.AppsV1().Deployments("default")
		d, err := deployments.Create(t.Context(), deployment("web"), metav1.CreateOptions{})
		must(t, err)
		var owned *appsv1.ReplicaSet
		eventually(t, "a ReplicaSet controlled by the Deployment", func(ctx context.Context) (err error) {
			owned, err = replicaSetOf(ctx, client, d)
			return err
		})
		background := metav1.DeletePropagationBackground
		must(t, deployments.Delete(t.Context(), "web", metav1.DeleteOptions{PropagationPolicy: &background}))
		eventually(t, "the ReplicaSet being garbage-collected", func(ctx context.Context) error {
			_, err := client.AppsV1().ReplicaSets("default").Get(ctx, owned.Name, metav1.GetOptions{})
			return wantNotFound(err)
		})
	})

	t.Run("a deleted namespace takes its content along", func(t *testing.T) {
		namespaces := client.CoreV1().Namespaces()
		_, err := namespaces.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "doomed"}}, metav1.CreateOptions{})
		must(t, err)
		_, err = client.CoreV1().ConfigMaps("doomed").Create(t.Context(), configMap("inside"), metav1.CreateOptions{})
		must(t, err)
		must(t, namespaces.Delete(t.Context(), "doomed", metav1.DeleteOptions{}))
		eventually(t, "the namespace being gone", func(ctx context.Context) error {
			_, err := namespaces.Get(ctx, "doomed", metav1.GetOptions{})
			return wantNotFound(err)
		})
		_, err = client.CoreV1().ConfigMaps("doomed").Get(t.Context(), "inside", metav1.GetOptions{})
		must(t, wantNotFound(err))
	})

	kept, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), configMap("kept"), metav1.CreateOptions{})
	must(t, err)

	t.Run("the audit log has the resourceVersion of a write", func(t *testing.T) {
		eventually(t, "the write in the audit log", func(context.Context) error {
			return auditHas(filepath.Join(dir, "audit.log"), kept)
		})
	})

	t.Run("the directory cannot be used twice", func(t *testing.T) {
		out, code := runToEnd(t, "up", "--dir", dir)
		if code != 1 || !strings.Contains(out, "another controlplane") {
			t.Errorf("exit code %d: %s", code, out)
		}
	})

	must(t, cp.cmd.Process.Kill())
	cp.wait(t)
	url := cp.url
	cp = start(t, dir)
	if cp.url != url {
		t.Fatalf("after SIGKILL the URL is %s, was %s", cp.url, url)
	}
	// The client from before the kill just goes on.
	got, err := client.CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{})
	must(t, err)
	if got.UID != kept.UID || got.ResourceVersion != kept.ResourceVersion {
		t.Errorf("after SIGKILL the object is %s at %s, was %s at %s", got.UID, got.ResourceVersion, kept.UID, kept.ResourceVersion)
	}

	// An open watch does not hold up the stop.
	w, err := client.CoreV1().ConfigMaps("").Watch(t.Context(), metav1.ListOptions{})
	must(t, err)
	defer w.Stop()
	must(t, cp.cmd.Process.Signal(syscall.SIGTERM))
	cp.wait(t)
	if code := cp.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0; stderr: %s", code, cp.stderr.String())
	}
	if rest := cp.rest.String(); rest != "" {
		t.Errorf("stdout has more than the ready line: %q", rest)
	}
}

func TestBadUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"down"}, {"up"}, {"up", "--dir"}, {"up", "--dir", "x", "--port", "70000"}, {"up", "--dir", "x", "y"}} {
		if out, code := runToEnd(t, args...); code != 2 || !strings.HasPrefix(out, "controlplane: ") {
			t.Errorf("%q: exit code %d, want 2: %s", args, code, out)
		}
	}
}

// process is a running controlplane.
type process struct {
	cmd    *exec.Cmd
	url    string
	stderr bytes.Buffer
	rest   bytes.Buffer  // what follows the ready line on stdout
	exited chan struct{} // closed when the process is gone
}

// start runs `controlplane up` and returns once it is ready. The test's end kills it.
func start(t *testing.T, dir string, flags ...string) *process {
	t.Helper()
	p := &process{exited: make(chan struct{})}
	p.cmd = exec.Command(binary(t), append([]string{"up", "--dir", dir}, flags...)...)
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	must(t, err)
	must(t, p.cmd.Start())
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.exited
	})
	firstLine := make(chan string, 1)
	go func() {
		defer close(p.exited)
		r := bufio.NewReader(stdout)
		line, _ := r.ReadString('\n')
		firstLine <- line
		r.WriteTo(&p.rest)
		p.cmd.Wait()
	}()

	select {
	case line := <-firstLine:
		prefix := fmt.Sprintf("ready: kubeconfig %s, ", filepath.Join(dir, "kubeconfig"))
		url, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), prefix)
		if !ok {
			<-p.exited
			t.Fatalf("first line of stdout %q, want %q and the URL; stderr: %s", line, prefix, p.stderr.String())
		}
		p.url = url
	case <-time.After(startLimit):
		log, _ := os.ReadFile(filepath.Join(dir, "controlplane.log"))
		t.Fatalf("not ready after %s; the log ends with: %s", startLimit, log[max(0, len(log)-4096):])
	}
	return p
}

// wait returns once the process is gone, and fails the test if that takes long.
func (p *process) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(stopLimit):
		t.Fatalf("the process still runs after %s", stopLimit)
	}
}

// runToEnd runs the binary until it exits and returns its stderr and exit code.
func runToEnd(t *testing.T, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return stderr.String(), cmd.ProcessState.ExitCode()
}

// binary returns the path of the built controlplane.
func binary(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "..", "bin", "controlplane"))
	must(t, err)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: make bin/controlplane builds it", err)
	}
	return path
}

func newClient(t *testing.T, kubeconfig string) kubernetes.Interface {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	must(t, err)
	client, err := kubernetes.NewForConfig(cfg)
	must(t, err)
	return client
}

// eventually polls until check returns nil, and fails the test after stepLimit.
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepLimit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		if err := check(ctx); err == nil {
			return
		} else if ctx.Err() == nil {
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %s for %s: %v", stepLimit, what, last)
		}
	}
}

func replicaSetOf(ctx context.Context, client kubernetes.Interface, d *appsv1.Deployment) (*appsv1.ReplicaSet, error) {
	list, err := client.AppsV1().ReplicaSets(d.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		if metav1.IsControlledBy(&list.Items[i], d) {
			return &list.Items[i], nil
		}
	}
	return nil, errors.New("no such ReplicaSet")
}

// auditHas returns nil if the audit log has the creation of the ConfigMap, with
// its resourceVersion, and every line in it is of a finished request.
func auditHas(path string, want *corev1.ConfigMap) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for line := range bytes.Lines(data) {
		var e struct {
			Stage, Verb    string
			ObjectRef      struct{ Resource, Name string }
			ResponseObject struct{ Metadata metav1.ObjectMeta }
		}
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // still being written
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		if e.Stage != "ResponseComplete" {
			return fmt.Errorf("stage %q", e.Stage)
		}
		m := e.ResponseObject.Metadata
		if e.Verb == "create" && e.ObjectRef.Resource == "configmaps" && m.UID == want.UID && m.ResourceVersion == want.ResourceVersion {
			return nil
		}
	}
	return errors.New("no such line")
}

func wantNotFound(err error) error {
	switch {
	case err == nil:
		return errors.New("it still exists")
	case apierrors.IsNotFound(err):
		return nil
	}
	return err
}

func deployment(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: "example.com/none"}}},
			},
		},
	}
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"key": "value"}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
