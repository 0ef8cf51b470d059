// What the server asked of the cluster, by its own log, and what its Role allows. It knows no story.
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
    // An apply makes what is not there, and is asked for that right too.
    if (method === 'PATCH' && query.includes('force=true')) calls.add(`create ${kind}${where}`);
  }
  return calls;
}

/** What was refused, as the log says it. */
export function refusedIn(log: string): string[] {
  return log.split('\n').filter((line) => /code: 403|is forbidden:/.test(line));
}

/** Everything that the server may do, as `verb resource`: what its Roles say, and what any other rule would add. */
export function rights(): Set<string> {
  const account = `system:serviceaccount:${SYSTEM}:toygres-server`;
  const said = kubectl(['auth', 'can-i', '--list', '-n', MANAGED, '--as', account, '--no-headers']);
  const rights = said.split('\n').flatMap((line) => {
    const [, resource, verbs] = /^(\S+)\s.*\[([^\]]*)\]\s*$/.exec(line) ?? [];
    // What everybody may: to ask about oneself, and for the API's own description.
    if (!resource || resource.startsWith('[') || resource.startsWith('self')) return [];
    return verbs.split(' ').map((verb) => `${verb} ${resource.split('.')[0]}`);
  });
  return new Set(rights);
}
