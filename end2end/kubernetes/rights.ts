// The server's requests to the cluster, from its log, and the rights that its Roles give.
import { MANAGED, SYSTEM, kubectl } from './cluster.ts';

const VERBS: Record<string, string> = { POST: 'create', PATCH: 'patch', DELETE: 'delete' };
const REQUEST = /http\.method=(\w+) http\.url=\S*?\/namespaces\/([^/?\s]+)(?:\/([a-z]+))?(?:\/([^/?\s]+))?(?:\/([a-z]+))?(\?\S*)?(?:\s|\})/;

/** The calls in a log of kube's client at level debug, as `verb resource`. */
export function callsIn(log: string): Set<string> {
  const calls = new Set<string>();
  for (const line of log.split('\n')) {
    const [, method, namespace, resource, name, sub, query = ''] = REQUEST.exec(line) ?? [];
    if (!method || !line.endsWith('requesting')) continue;
    const kind = resource ? [resource, sub].filter(Boolean).join('/') : 'namespaces';
    const where = namespace === MANAGED ? '' : ` in ${namespace}`;
    if (method === 'GET') calls.add(`${/[?&]watch=/.test(query) ? 'watch' : !resource || name ? 'get' : 'list'} ${kind}${where}`);
    else calls.add(`${VERBS[method]} ${kind}${where}`);
    // An apply creates a missing object, which needs the right to create too.
    if (method === 'PATCH' && query.includes('force=true')) calls.add(`create ${kind}${where}`);
  }
  return calls;
}

/** The lines of a log that report a refused request. */
export function refusedIn(log: string): string[] {
  return log.split('\n').filter((line) => /code: 403|is forbidden:/.test(line));
}

/** The rights of the server's account, from all its Roles, as `verb resource`. */
export function rights(): Set<string> {
  const account = `system:serviceaccount:${SYSTEM}:toygres-server`;
  const listed = kubectl(['auth', 'can-i', '--list', '-n', MANAGED, '--as', account, '--no-headers']);
  const rights = listed.split('\n').flatMap((line) => {
    const [, resource, verbs] = /^(\S+)\s.*\[([^\]]*)\]\s*$/.exec(line) ?? [];
    // Every account may review its own rights and read the description of the API.
    if (!resource || resource.startsWith('[') || resource.startsWith('self')) return [];
    return verbs.split(' ').map((verb) => `${verb} ${resource.split('.')[0]}`);
  });
  return new Set(rights);
}
