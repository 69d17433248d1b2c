-- What Argo CD shows of an OpenSecureConfCluster, and what a sync waits for. Goes into the ConfigMap argocd-cm, see docs/gitops.md.
local status = obj.status or {}
local generation = obj.metadata.generation or 0

if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "the cluster is being deleted" }
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local ready, stalled, reconciling = conditions.Ready, conditions.Stalled, conditions.Reconciling

-- Changes that wait while spec.paused is true: the operator looked, and has not applied the newest spec.
if stalled ~= nil and stalled.status == "True" and stalled.reason == "Paused" then
  return { status = "Progressing", message = stalled.message }
end
-- The definition's own default says -1 until the operator has looked for the first time.
if status.observedGeneration == nil or status.observedGeneration ~= generation then
  return { status = "Progressing", message = "the operator has not looked at this spec yet" }
end

if stalled ~= nil and stalled.status == "True" then
  return { status = "Degraded", message = stalled.reason .. ": " .. stalled.message }
end
if reconciling ~= nil and reconciling.status == "True" then
  local message = reconciling.message
  if ready ~= nil and ready.status ~= "True" then
    message = ready.message
  end
  return { status = "Progressing", message = message }
end
if ready == nil then
  return { status = "Progressing", message = "the operator has not reported the nodes yet" }
end
if ready.status == "True" then
  return { status = "Healthy", message = ready.message }
end
-- A sync ends at Degraded at once, so it stands only where waiting does not help.
if ready.reason == "DifferentSalt" or ready.reason == "MemberUnavailable" or ready.reason == "WritesRefused"
  or ready.reason == "RolloutBlocked" or ready.reason == "NodeSuspended" or ready.reason == "DifferentClusterUid" then
  return { status = "Degraded", message = ready.reason .. ": " .. ready.message }
end
return { status = "Progressing", message = ready.reason .. ": " .. ready.message }
