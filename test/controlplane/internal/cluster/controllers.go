package cluster

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/component-base/version"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/kubernetes/pkg/controller/clusterroleaggregation"
	"k8s.io/kubernetes/pkg/controller/cronjob"
	"k8s.io/kubernetes/pkg/controller/deployment"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/job"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/replicaset"
)

// controllers are those that run, by the name of their service account in
// kube-system. The worker counts and periods are kube-controller-manager's.
var controllers = []struct {
	name string
	// build makes the controller and returns what runs it until a context ends.
	build func(ctx context.Context, e *environment, client kubernetes.Interface, cfg *rest.Config) (func(context.Context), error)
}{
	{"clusterrole-aggregation-controller", buildClusterRoleAggregation},
	{"cronjob-controller", buildCronJob},
	{"deployment-controller", buildDeployment},
	{"generic-garbage-collector", buildGarbageCollector},
	{"job-controller", buildJob},
	{"namespace-controller", buildNamespace},
	{"replicaset-controller", buildReplicaSet},
}

const (
	resyncPeriod     = 12 * time.Hour
	discoveryPeriod  = 30 * time.Second
	namespaceResync  = 5 * time.Minute
	workers          = 5
	namespaceWorkers = 10
	collectorWorkers = 20
	protobufThenJSON = apiruntime.ContentTypeProtobuf + "," + apiruntime.ContentTypeJSON
)

// environment is what the controllers share.
type environment struct {
	informers informers.SharedInformerFactory
	metadata  metadata.Interface
	all       informerfactory.InformerFactory // informers for any resource
	started   chan struct{}                   // closed once the informers run
}

// startControllers runs the controllers. The API server must be ready.
func startControllers(st *state) *task {
	return startTask(func(ctx context.Context) error { return runControllers(ctx, st) })
}

func runControllers(ctx context.Context, st *state) error {
	e, err := newEnvironment(controllerConfig(st, managerUser, "shared-informers"))
	if err != nil {
		return err
	}
	var runs []func(context.Context)
	for _, c := range controllers {
		cfg := controllerConfig(st, controllerUserPrefix+c.name, c.name)
		client, err := kubernetes.NewForConfig(cfg)
		if err != nil {
			return err
		}
		run, err := c.build(ctx, e, client, cfg)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		runs = append(runs, run)
	}

	e.all.Start(ctx.Done())
	close(e.started)
	var wg sync.WaitGroup
	for _, run := range runs {
		wg.Go(func() { run(ctx) })
	}
	wg.Wait()
	e.informers.Shutdown()
	return nil
}

// controllerConfig returns the client configuration of a controller, which
// presents itself to the API server as a part of kube-controller-manager.
func controllerConfig(st *state, user, name string) *rest.Config {
	cfg := st.restConfig(user)
	cfg.UserAgent = fmt.Sprintf("kube-controller-manager/%s (%s/%s) %s", version.Get().GitVersion, runtime.GOOS, runtime.GOARCH, name)
	cfg.ContentType = apiruntime.ContentTypeProtobuf
	cfg.AcceptContentTypes = protobufThenJSON
	return cfg
}

func newEnvironment(cfg *rest.Config) (*environment, error) {
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	metadataClient, err := metadata.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	typed := informers.NewSharedInformerFactoryWithOptions(client, resyncPeriod, informers.WithTransform(dropManagedFields))
	untyped := metadatainformer.NewSharedInformerFactoryWithOptions(metadataClient, resyncPeriod, metadatainformer.WithTransform(dropManagedFields))
	return &environment{
		informers: typed,
		metadata:  metadataClient,
		all:       informerfactory.NewInformerFactory(typed, untyped),
		started:   make(chan struct{}),
	}, nil
}

// dropManagedFields keeps what no controller reads out of the informers' memory.
func dropManagedFields(obj any) (any, error) {
	if accessor, err := meta.Accessor(obj); err == nil {
		accessor.SetManagedFields(nil)
	}
	return obj, nil
}

func buildClusterRoleAggregation(_ context.Context, e *environment, client kubernetes.Interface, _ *rest.Config) (func(context.Context), error) {
	c := clusterroleaggregation.NewClusterRoleAggregation(e.informers.Rbac().V1().ClusterRoles(), client.RbacV1())
	return func(ctx context.Context) { c.Run(ctx, workers) }, nil
}

func buildCronJob(ctx context.Context, e *environment, client kubernetes.Interface, _ *rest.Config) (func(context.Context), error) {
	batch := e.informers.Batch().V1()
	c, err := cronjob.NewControllerV2(ctx, batch.Jobs(), batch.CronJobs(), client)
	return func(ctx context.Context) { c.Run(ctx, workers) }, err
}

func buildDeployment(ctx context.Context, e *environment, client kubernetes.Interface, _ *rest.Config) (func(context.Context), error) {
	apps := e.informers.Apps().V1()
	c, err := deployment.NewDeploymentController(ctx, apps.Deployments(), apps.ReplicaSets(), e.informers.Core().V1().Pods(), client)
	return func(ctx context.Context) { c.Run(ctx, workers) }, err
}

func buildReplicaSet(ctx context.Context, e *environment, client kubernetes.Interface, _ *rest.Config) (func(context.Context), error) {
	c := replicaset.NewReplicaSetController(ctx, e.informers.Apps().V1().ReplicaSets(), e.informers.Core().V1().Pods(), client, replicaset.BurstReplicas)
	return func(ctx context.Context) { c.Run(ctx, workers) }, nil
}

func buildJob(ctx context.Context, e *environment, client kubernetes.Interface, _ *rest.Config) (func(context.Context), error) {
	// The last two informers are for a feature gate that is off by default.
	c, err := job.NewController(ctx, client, e.informers.Core().V1().Pods(), e.informers.Batch().V1().Jobs(), nil, nil)
	return func(ctx context.Context) { c.Run(ctx, workers) }, err
}

func buildNamespace(ctx context.Context, e *environment, client kubernetes.Interface, cfg *rest.Config) (func(context.Context), error) {
	metadataClient, err := metadata.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	c := namespace.NewNamespaceController(ctx, client, metadataClient, client.Discovery().ServerPreferredNamespacedResources,
		e.informers.Core().V1().Namespaces(), namespaceResync, corev1.FinalizerKubernetes)
	return func(ctx context.Context) { c.Run(ctx, namespaceWorkers) }, nil
}

func buildGarbageCollector(ctx context.Context, e *environment, client kubernetes.Interface, cfg *rest.Config) (func(context.Context), error) {
	metadataClient, err := metadata.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	// Not the client's own discovery interface: that one would be cached below.
	uncached, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(uncached))
	graph := garbagecollector.NewDependencyGraphBuilder(ctx, e.metadata, mapper, garbagecollector.DefaultIgnoredResources(), e.all, e.started)
	c, err := garbagecollector.NewComposedGarbageCollector(ctx, client, metadataClient, mapper, graph)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) {
		var wg sync.WaitGroup
		wg.Go(func() { c.Run(ctx, collectorWorkers, discoveryPeriod) })
		wg.Go(func() { c.Sync(ctx, uncached, discoveryPeriod) })
		wg.Go(func() { wait.UntilWithContext(ctx, func(context.Context) { mapper.Reset() }, discoveryPeriod) })
		wg.Wait()
	}, nil
}
