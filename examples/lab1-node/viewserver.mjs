// The view server: it answers Pings, and makes the ticks.

import { PING_INTERVAL, TICKS_PER_PING, ViewService } from './view.mjs';

export async function viewserver(host) {
  const service = new ViewService();
  let logged = service.view;

  function logChange() {
    if (logged === service.view) return;
    logged = service.view;
    host.log(`view ${logged.viewnum}: primary ${logged.primary}, backup ${logged.backup || 'none'}`);
  }

  function currentView() {
    const { viewnum, primary, backup } = service.view;
    return [viewnum, primary, backup];
  }

  await host.serve({
    Ping({ me, viewnum }) {
      service.ping(me, viewnum);
      logChange();
      return currentView();
    },
    GetView: currentView,
  });
  setInterval(() => {
    service.tick();
    logChange();
  }, PING_INTERVAL / TICKS_PER_PING);
}
