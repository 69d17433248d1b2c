package main

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// Annotations of a volume: whose it is, and what it is made of.
const (
	nodeAnnotation = "node"
	kindAnnotation = "opensecureconf.io/volume-kind"
)

// localVolumes provisions volumes on this node only; its peers on the other nodes serve theirs.
type localVolumes struct {
	node string
	kind volumeKind
}

func (l *localVolumes) ShouldProvision(_ context.Context, claim *v1.PersistentVolumeClaim) bool {
	return claim.Annotations["volume.kubernetes.io/selected-node"] == l.node
}

func (l *localVolumes) Provision(_ context.Context, o controller.ProvisionOptions) (*v1.PersistentVolume, controller.ProvisioningState, error) {
	size := o.PVC.Spec.Resources.Requests[v1.ResourceStorage]
	if size.Cmp(largest) > 0 {
		return nil, controller.ProvisioningFinished, fmt.Errorf("%s is more than %s, the largest volume that there is", size.String(), largest.String())
	}
	path, err := l.kind.create(o.PVName, size.Value())
	if err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	// A pod must not begin with the empty folder below a file system that is not mounted yet: kubelet waits for this one.
	mustExist := v1.HostPathDirectory
	return &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName, Annotations: map[string]string{nodeAnnotation: l.node, kindAnnotation: string(l.kind)}},
		Spec: v1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			AccessModes:                   o.PVC.Spec.AccessModes,
			Capacity:                      v1.ResourceList{v1.ResourceStorage: size},
			PersistentVolumeSource:        v1.PersistentVolumeSource{HostPath: &v1.HostPathVolumeSource{Path: path, Type: &mustExist}},
			NodeAffinity: &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
				MatchExpressions: []v1.NodeSelectorRequirement{{Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{l.node}}},
			}}}},
		},
	}, controller.ProvisioningFinished, nil
}

func (l *localVolumes) Delete(_ context.Context, pv *v1.PersistentVolume) error {
	if pv.Annotations[nodeAnnotation] != l.node {
		return &controller.IgnoredError{Reason: "volume of another node"}
	}
	return remove(pv.Name)
}
