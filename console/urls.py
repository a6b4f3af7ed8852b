"""Every URL of the console: one stem for path, name, view and template. Wiring only."""

from __future__ import annotations

from django.urls import include, path

from console.views import (
    audit,
    chat,
    deployments,
    home,
    keys,
    models,
    nodes,
    operations,
    people,
    rollouts,
    session,
    teams,
)

handler400 = "console.errors.bad_request"
handler403 = "console.errors.forbidden"
handler404 = "console.errors.not_found"
handler500 = "console.errors.server_error"

urlpatterns = [
    path("", home.home, name="home"),
    path("sign-in/", session.SignIn.as_view(), name="sign-in"),
    path("sign-out/", session.sign_out, name="sign-out"),
    path("account/", session.account, name="account"),
    path("language/", session.set_language, name="set_language"),
    path("fleet/", nodes.fleet, name="fleet"),
    path("nodes/", nodes.node_list, name="node-list"),
    path("nodes/register/", nodes.node_register, name="node-register"),
    path("nodes/<uuid:pk>/", nodes.node_detail, name="node-detail"),
    path("nodes/<uuid:pk>/update/", nodes.node_update, name="node-update"),
    path("nodes/<uuid:pk>/refresh/", nodes.node_refresh, name="node-refresh"),
    path("nodes/<uuid:pk>/cordon/", nodes.node_cordon, name="node-cordon"),
    path("nodes/<uuid:pk>/uncordon/", nodes.node_uncordon, name="node-uncordon"),
    path("nodes/<uuid:pk>/drain/", nodes.node_drain, name="node-drain"),
    path("nodes/<uuid:pk>/remove/", nodes.node_remove, name="node-remove"),
    path("models/", models.model_list, name="model-list"),
    path("models/pull/", models.model_pull, name="model-pull"),
    path("models/<uuid:pk>/", models.model_detail, name="model-detail"),
    path("models/stored/<int:pk>/delete/", models.model_delete, name="model-delete"),
    path("deployments/", deployments.deployment_list, name="deployment-list"),
    path("deployments/create/", deployments.deployment_create, name="deployment-create"),
    path("deployments/<uuid:pk>/", deployments.deployment_detail, name="deployment-detail"),
    path("deployments/<uuid:pk>/start/", deployments.deployment_start, name="deployment-start"),
    path("deployments/<uuid:pk>/stop/", deployments.deployment_stop, name="deployment-stop"),
    path("deployments/<uuid:pk>/delete/", deployments.deployment_delete, name="deployment-delete"),
    path("deployments/<uuid:pk>/change/", rollouts.deployment_change, name="deployment-change"),
    path("deployments/<uuid:pk>/place/", rollouts.deployment_place, name="deployment-place"),
    path(
        "deployments/<uuid:pk>/rollback/", rollouts.deployment_rollback, name="deployment-rollback"
    ),
    path("deployments/<uuid:pk>/restore/", rollouts.deployment_restore, name="deployment-restore"),
    path("deployments/<uuid:pk>/compare/", rollouts.deployment_compare, name="deployment-compare"),
    path("deployments/<uuid:pk>/try/", deployments.deployment_try, name="deployment-try"),
    path("deployments/<uuid:pk>/use/", chat.deployment_use, name="deployment-use"),
    path("deployments/<uuid:pk>/chat/", chat.deployment_chat, name="deployment-chat"),
    path("deployments/<uuid:pk>/grant/", teams.grant_create, name="grant-create"),
    path("grants/<uuid:pk>/revoke/", teams.grant_revoke, name="grant-revoke"),
    path("chat/", chat.chat_list, name="chat-list"),
    path("operations/", operations.operation_list, name="operation-list"),
    path("operations/<uuid:pk>/", operations.operation_detail, name="operation-detail"),
    path("operations/<uuid:pk>/cancel/", operations.operation_cancel, name="operation-cancel"),
    path("operations/<uuid:pk>/retry/", operations.operation_retry, name="operation-retry"),
    path("people/", people.user_list, name="user-list"),
    path("people/create/", people.user_create, name="user-create"),
    path("people/<uuid:pk>/", people.user_detail, name="user-detail"),
    path("people/<uuid:pk>/role/", people.user_set_role, name="user-set-role"),
    path("people/<uuid:pk>/disable/", people.user_disable, name="user-disable"),
    path("people/<uuid:pk>/enable/", people.user_enable, name="user-enable"),
    path(
        "people/<uuid:pk>/reset-password/", people.user_reset_password, name="user-reset-password"
    ),
    path("teams/", teams.team_list, name="team-list"),
    path("teams/create/", teams.team_create, name="team-create"),
    path("teams/<uuid:pk>/", teams.team_detail, name="team-detail"),
    path("teams/<uuid:pk>/delete/", teams.team_delete, name="team-delete"),
    path("teams/<uuid:pk>/members/add/", teams.team_add_member, name="team-add-member"),
    path(
        "teams/<uuid:pk>/members/<uuid:user_pk>/remove/",
        teams.team_remove_member,
        name="team-remove-member",
    ),
    path("keys/", keys.key_list, name="key-list"),
    path("keys/issue/", keys.key_issue, name="key-issue"),
    path("keys/<uuid:pk>/revoke/", keys.key_revoke, name="key-revoke"),
    path("service-accounts/create/", people.service_account_create, name="service-account-create"),
    path("audit/events/", audit.event_list, name="event-list"),
    path("audit/events/<uuid:pk>/", audit.event_detail, name="event-detail"),
    path("audit/export/", audit.event_export, name="event-export"),
    path("api/v1/", include("console.api.urls")),
]
