#include "console_files.h"

// The compiler embeds the files, and notes that this file depends on them.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char api_js[] = {
#embed "../Console/Web/api.js"
};
static const unsigned char app_js[] = {
#embed "../Console/Web/app.js"
};
static const unsigned char bulk_js[] = {
#embed "../Console/Web/bulk.js"
};
static const unsigned char charts_js[] = {
#embed "../Console/Web/charts.js"
};
static const unsigned char device_parts_js[] = {
#embed "../Console/Web/device-parts.js"
};
static const unsigned char device_js[] = {
#embed "../Console/Web/device.js"
};
static const unsigned char devices_js[] = {
#embed "../Console/Web/devices.js"
};
static const unsigned char dom_js[] = {
#embed "../Console/Web/dom.js"
};
static const unsigned char event_list_js[] = {
#embed "../Console/Web/event-list.js"
};
static const unsigned char events_js[] = {
#embed "../Console/Web/events.js"
};
static const unsigned char feed_js[] = {
#embed "../Console/Web/feed.js"
};
static const unsigned char format_js[] = {
#embed "../Console/Web/format.js"
};
static const unsigned char halt_js[] = {
#embed "../Console/Web/halt.js"
};
static const unsigned char icon_svg[] = {
#embed "../Console/Web/icon.svg"
};
static const unsigned char index_html[] = {
#embed "../Console/Web/index.html"
};
static const unsigned char json_js[] = {
#embed "../Console/Web/json.js"
};
static const unsigned char oidc_js[] = {
#embed "../Console/Web/oidc.js"
};
static const unsigned char qr_js[] = {
#embed "../Console/Web/qr.js"
};
static const unsigned char register_js[] = {
#embed "../Console/Web/register.js"
};
static const unsigned char router_js[] = {
#embed "../Console/Web/router.js"
};
static const unsigned char session_js[] = {
#embed "../Console/Web/session.js"
};
static const unsigned char settings_js[] = {
#embed "../Console/Web/settings.js"
};
static const unsigned char sign_in_js[] = {
#embed "../Console/Web/sign-in.js"
};
static const unsigned char signals_js[] = {
#embed "../Console/Web/signals.js"
};
static const unsigned char style_css[] = {
#embed "../Console/Web/style.css"
};
static const unsigned char virtual_list_js[] = {
#embed "../Console/Web/virtual-list.js"
};
static const unsigned char widgets_js[] = {
#embed "../Console/Web/widgets.js"
};

#define FILE(name, bytes) {name, bytes, sizeof bytes}

static const struct console_file files[] = {
  FILE("api.js", api_js),
  FILE("app.js", app_js),
  FILE("bulk.js", bulk_js),
  FILE("charts.js", charts_js),
  FILE("device-parts.js", device_parts_js),
  FILE("device.js", device_js),
  FILE("devices.js", devices_js),
  FILE("dom.js", dom_js),
  FILE("event-list.js", event_list_js),
  FILE("events.js", events_js),
  FILE("feed.js", feed_js),
  FILE("format.js", format_js),
  FILE("halt.js", halt_js),
  FILE("icon.svg", icon_svg),
  FILE("index.html", index_html),
  FILE("json.js", json_js),
  FILE("oidc.js", oidc_js),
  FILE("qr.js", qr_js),
  FILE("register.js", register_js),
  FILE("router.js", router_js),
  FILE("session.js", session_js),
  FILE("settings.js", settings_js),
  FILE("sign-in.js", sign_in_js),
  FILE("signals.js", signals_js),
  FILE("style.css", style_css),
  FILE("virtual-list.js", virtual_list_js),
  FILE("widgets.js", widgets_js),
};

const struct console_file *console_files(unsigned long *count) {
  *count = sizeof files / sizeof *files;
  return files;
}
