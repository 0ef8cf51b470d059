// A Toygres on the cluster and the stores, shared by all stories of a file.
import { expect, test as base } from '../toygres.ts';
import { Cluster } from './cluster.ts';
import { Emulators } from './emulators.ts';

export { expect };

/** The test function for stories on the Toygres that `start` deploys. */
export function stories(start: () => Promise<Cluster>) {
  const test = base.extend<object, { cluster: Cluster; stores: Emulators }>({
    cluster: [
      async ({}, use) => {
        const cluster = await start();
        await use(cluster);
        cluster.remove();
      },
      { scope: 'worker', timeout: 420_000 },
    ],
    stores: [
      async ({}, use) => {
        const stores = await Emulators.start();
        await use(stores);
        stores.stop();
      },
      { scope: 'worker', timeout: 120_000 },
    ],
  });
  test.describe.configure({ mode: 'serial' });
  return test;
}
