package cluster

import (
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	contextName      = "kubescribe-demo"
	kubeconfigFile   = "kubeconfig"
	unprivilegedFile = "kubeconfig-unprivileged"
)

// writeKubeconfigs writes a kubeconfig for the cluster admin, with the context
// kubescribe-demo, and one for the unprivileged user, with the context
// kubescribe-demo-limited. Both hold all they need, so they can be copied.
func writeKubeconfigs(st *state) error {
	if err := writeKubeconfig(kubeconfigFile, contextName, adminUser, st); err != nil {
		return err
	}
	return writeKubeconfig(unprivilegedFile, contextName+"-"+limitedUser, limitedUser, st)
}

func writeKubeconfig(path, context, user string, st *state) error {
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters[contextName] = &clientcmdapi.Cluster{Server: st.url(), CertificateAuthorityData: st.ServingCert}
	cfg.AuthInfos[user] = &clientcmdapi.AuthInfo{Token: st.Tokens[user]}
	cfg.Contexts[context] = &clientcmdapi.Context{Cluster: contextName, AuthInfo: user}
	cfg.CurrentContext = context
	data, err := clientcmd.Write(*cfg)
	if err != nil {
		return err
	}
	return writeFile(path, data)
}
