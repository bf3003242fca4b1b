"""The external metrics API: what kube-apiserver's front proxy and the kubelet's probes talk to."""
