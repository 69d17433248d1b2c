package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
)

// resizer grows volumes of this node as external-resizer and kubelet do: the volume first, then the capacity of the volume's object,
// then that of the claim. What the class allows is the API server's matter.
type resizer struct {
	client  kubernetes.Interface
	node    string
	claims  listers.PersistentVolumeClaimLister
	volumes listers.PersistentVolumeLister
}

func newResizer(client kubernetes.Interface, node string, watched informers.SharedInformerFactory) *resizer {
	core := watched.Core().V1()
	return &resizer{client: client, node: node, claims: core.PersistentVolumeClaims().Lister(), volumes: core.PersistentVolumes().Lister()}
}

func (r *resizer) growAll(ctx context.Context) {
	claims, err := r.claims.List(labels.Everything())
	if err != nil {
		log.Printf("listing claims: %v", err)
		return
	}
	for _, claim := range claims {
		if claim.Status.Phase != v1.ClaimBound {
			continue
		}
		volume, err := r.volumes.Get(claim.Spec.VolumeName)
		if err != nil || volume.Annotations[nodeAnnotation] != r.node {
			continue
		}
		if err := r.grow(ctx, claim, volume); err != nil {
			log.Printf("growing %s: %v", volume.Name, err)
		}
	}
}

func (r *resizer) grow(ctx context.Context, claim *v1.PersistentVolumeClaim, volume *v1.PersistentVolume) error {
	wanted, has := claim.Spec.Resources.Requests[v1.ResourceStorage], claim.Status.Capacity[v1.ResourceStorage]
	if wanted.Cmp(has) <= 0 && len(claim.Status.AllocatedResourceStatuses) == 0 {
		return nil
	}
	if wanted.Cmp(largest) > 0 {
		return r.refuse(ctx, claim, wanted)
	}
	if err := grow(volume.Name, wanted.Value()); err != nil {
		return err
	}
	capacity := map[string]any{"storage": wanted.String()}
	patch := map[string]any{"spec": map[string]any{"capacity": capacity}}
	if _, err := r.client.CoreV1().PersistentVolumes().Patch(ctx, volume.Name, types.MergePatchType, encode(patch), metav1.PatchOptions{}); err != nil {
		return err
	}
	log.Printf("%s has %s now", volume.Name, wanted.String())
	return r.report(ctx, claim, map[string]any{"capacity": capacity, "allocatedResources": capacity, "allocatedResourceStatuses": nil, "conditions": nil})
}

// refuse says that a volume of this size cannot be, once for each size.
func (r *resizer) refuse(ctx context.Context, claim *v1.PersistentVolumeClaim, wanted resource.Quantity) error {
	asked := claim.Status.AllocatedResources[v1.ResourceStorage]
	if asked.Cmp(wanted) == 0 {
		return nil
	}
	return r.report(ctx, claim, map[string]any{
		"allocatedResources":        map[string]any{"storage": wanted.String()},
		"allocatedResourceStatuses": map[string]any{"storage": v1.PersistentVolumeClaimControllerResizeInfeasible},
		"conditions": []v1.PersistentVolumeClaimCondition{{
			Type: v1.PersistentVolumeClaimControllerResizeError, Status: v1.ConditionTrue, LastTransitionTime: metav1.Now(),
			Message: fmt.Sprintf("%s is more than %s, the largest volume that there is", wanted.String(), largest.String()),
		}},
	})
}

func (r *resizer) report(ctx context.Context, claim *v1.PersistentVolumeClaim, status map[string]any) error {
	patch := encode(map[string]any{"status": status})
	_, err := r.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Patch(ctx, claim.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// encode is for maps that always have a form in JSON.
func encode(patch map[string]any) []byte {
	text, err := json.Marshal(patch)
	if err != nil {
		log.Fatalf("a patch without a form: %v", err)
	}
	return text
}
